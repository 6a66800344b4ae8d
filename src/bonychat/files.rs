//! Kinds for `BonyChat` and MIME types, by file name. Used by both directions of this room.

use crate::domain::content::{AttachmentKind, Label};

/// Returns kind and MIME type of a file with this extension, in any case; `None` for an extension that chats do not
/// use.
pub(super) fn by_extension(extension: &str) -> Option<(AttachmentKind, &'static str)> {
    use AttachmentKind::{Audio, File, Image, Video};
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => (Image, "image/jpeg"),
        "png" => (Image, "image/png"),
        "gif" => (Image, "image/gif"),
        "webp" => (Image, "image/webp"),
        "mp4" => (Video, "video/mp4"),
        "3gp" => (Video, "video/3gpp"),
        "mov" => (Video, "video/quicktime"),
        "ogg" | "oga" | "opus" => (Audio, "audio/ogg"),
        "mp3" => (Audio, "audio/mpeg"),
        "m4a" => (Audio, "audio/mp4"),
        "amr" => (Audio, "audio/amr"),
        "aac" => (Audio, "audio/aac"),
        "pdf" => (File, "application/pdf"),
        "doc" => (File, "application/msword"),
        "docx" => (File, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        "xls" => (File, "application/vnd.ms-excel"),
        "xlsx" => (File, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "ppt" => (File, "application/vnd.ms-powerpoint"),
        "pptx" => (File, "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        "zip" => (File, "application/zip"),
        "txt" => (File, "text/plain"),
        "csv" => (File, "text/csv"),
        "vcf" => (File, "text/vcard"),
        _ => return None,
    })
}

/// Returns the kind of a MIME type.
pub(super) fn by_mime(mime_type: &str) -> Option<AttachmentKind> {
    match mime_type.split('/').next()?.trim().to_ascii_lowercase().as_str() {
        "image" => Some(AttachmentKind::Image),
        "video" => Some(AttachmentKind::Video),
        "audio" => Some(AttachmentKind::Audio),
        "" => None,
        _ => Some(AttachmentKind::File),
    }
}

/// Returns the extension of the file that a link ends in.
pub(super) fn extension(link: &url::Url) -> Option<&str> {
    let (stem, extension) = last_segment(link)?.rsplit_once('.')?;
    (!stem.is_empty() && !extension.is_empty()).then_some(extension)
}

/// Returns the name of the file that a link ends in, decoded; `None` if it is not a usable file name.
pub(super) fn name(link: &url::Url) -> Option<Label> {
    let name = decoded(last_segment(link)?)?;
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\');
    if name.contains(odd) { None } else { Label::new(name).ok() }
}

fn last_segment(link: &url::Url) -> Option<&str> {
    link.path_segments()?.next_back().filter(|segment| !segment.is_empty())
}

/// Returns `text` with its percent escapes decoded; `None` if the bytes are not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| first == b'%').and_then(|two| {
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            Some(digit(two[0])? << 4 | digit(two[1])?)
        });
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> url::Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_tells_its_file() {
        for (text, expected_extension, expected_name) in [
            ("https://x.test/a/photo.JPG?sig=a.b#p", Some("JPG"), Some("photo.JPG")),
            ("https://x.test/factura%20n%C2%BA1.pdf", Some("pdf"), Some("factura nº1.pdf")),
            ("https://x.test/archive.tar.zip", Some("zip"), Some("archive.tar.zip")),
            ("https://x.test/100%.txt", Some("txt"), Some("100%.txt")),
            ("https://x.test/.pdf", None, Some(".pdf")),
            ("https://x.test/photo.", None, Some("photo.")),
            ("https://x.test/a.jpg/", None, None),
            ("https://x.test/", None, None),
            ("https://x.test/a%2Fb.pdf", Some("pdf"), None),
            ("https://x.test/a%00b.pdf", Some("pdf"), None),
            ("https://x.test/a%FF.pdf", Some("pdf"), None),
        ] {
            let url = link(text);
            assert_eq!(extension(&url), expected_extension, "{text}");
            assert_eq!(name(&url).as_ref().map(Label::as_str), expected_name, "{text}");
        }
        assert_eq!(name(&link(&format!("https://x.test/{}.pdf", "n".repeat(253)))), None);
    }

    #[test]
    fn a_mime_type_tells_its_kind() {
        assert_eq!(by_mime("Image/PNG"), Some(AttachmentKind::Image));
        assert_eq!(by_mime("audio/ogg; codecs=opus"), Some(AttachmentKind::Audio));
        assert_eq!(by_mime("application/pdf"), Some(AttachmentKind::File));
        assert_eq!(by_mime(""), None);
    }
}
