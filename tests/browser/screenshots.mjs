// Makes a picture of every page, at each width, light and dark: node screenshots.mjs FOLDER
// With a name of a page, of that alone: node screenshots.mjs FOLDER overview

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { PAGES, reach } from './support/pages.mjs';
import { startScene } from './support/scene.mjs';

const [folder, only] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node screenshots.mjs FOLDER [PAGE]');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const scene = await startScene();
const browser = await launch();
try {
  for (const entry of PAGES.filter(({ name }) => !only || name === only)) {
    for (const theme of ['light', 'dark']) {
      const window = await open(browser, scene.bridge.base, { theme });
      if (!entry.signedOut) await window.signIn();
      await reach(window, scene, entry);
      for (const width of [360, 1280]) {
        await window.page.setViewportSize({ width, height: 800 });
        const path = join(folder, `${entry.name}-${width}-${theme}.png`);
        await window.page.screenshot({ path, fullPage: true });
      }
      await window.close();
    }
  }
} finally {
  await browser.close();
  await scene.bridge.stop();
  await stopShared();
}
