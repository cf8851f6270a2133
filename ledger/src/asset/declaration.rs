//! A client's declaration of a file before the upload, and the limits of its fields.

use std::collections::BTreeMap;

use super::event::UploadKind;

/// Bytes of a file name: the limit of common file systems.
pub const FILENAME_MAX: usize = 255;
/// Bytes of a content type. A longer value is not a type but hidden data.
pub const CONTENT_TYPE_MAX: usize = 128;
/// S3's limit for one PUT: 5 GiB.
pub const SIZE_MAX: u64 = 5 << 30;
/// Tags of one asset.
pub const TAGS_MAX: usize = 50;
/// Bytes of all tags together, so that an event takes about one write unit.
pub const TAGS_BYTES_MAX: usize = 512;
/// Bytes of the reason of a deletion.
pub const REASON_MAX: usize = 256;

/// The declaration of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// How the upload URL is signed.
    pub upload: UploadKind,
    /// The file's name. It is data, never a path.
    pub filename: Option<String>,
    /// The file's media type.
    pub content_type: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<String>,
    /// Tags chosen by the client.
    pub tags: BTreeMap<String, String>,
}

/// A field that is invalid, and how to correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidField {
    /// The field's name in the request.
    pub field: &'static str,
    /// What is wrong, and what would be valid.
    pub problem: String,
    /// Whether the value has a valid form but exceeds its limit.
    pub too_large: bool,
}

impl InvalidField {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into(), too_large: false }
    }
}

impl Declaration {
    /// An empty declaration: the URL accepts any bytes.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            upload: UploadKind::Plain,
            filename: None,
            content_type: None,
            size: None,
            sha256: None,
            tags: BTreeMap::new(),
        }
    }

    /// The declaration, if every field is within its limits. The SHA-256 is in lower case.
    pub fn checked(mut self) -> Result<Self, InvalidField> {
        self.filename.as_deref().map_or(Ok(()), check_filename)?;
        self.content_type.as_deref().map_or(Ok(()), check_content_type)?;
        self.size.map_or(Ok(()), check_size)?;
        if let Some(sha256) = &mut self.sha256 {
            sha256.make_ascii_lowercase();
            check_sha256(sha256)?;
        }
        check_tags(&self.tags)?;
        Ok(self)
    }
}

/// The reason of a deletion, within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub(super) String);

impl Reason {
    /// Accepts up to 256 bytes without control characters.
    pub fn new(text: String) -> Result<Self, InvalidField> {
        if text.len() > REASON_MAX {
            let problem = format!("must be at most {REASON_MAX} bytes, not {}", text.len());
            return Err(InvalidField::new("reason", problem));
        }
        check_characters("reason", &text)?;
        Ok(Self(text))
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_filename(name: &str) -> Result<(), InvalidField> {
    check_filename_form(name)?;
    check_characters("filename", name)
}

pub(crate) fn check_filename_form(name: &str) -> Result<(), InvalidField> {
    let refuse = |problem: String| Err(InvalidField::new("filename", problem));
    if name.is_empty() || name == "." || name == ".." {
        return refuse(format!("{name:?} is not the name of a file"));
    }
    if name.len() > FILENAME_MAX {
        return refuse(format!("must be at most {FILENAME_MAX} bytes, not {}", name.len()));
    }
    if name.contains(['/', '\\']) {
        return refuse("must be a name without a path: '/' and '\\' are refused".to_owned());
    }
    Ok(())
}

pub(crate) fn check_content_type(value: &str) -> Result<(), InvalidField> {
    let refuse = |problem: String| Err(InvalidField::new("content_type", problem));
    if value.len() > CONTENT_TYPE_MAX {
        return refuse(format!("must be at most {CONTENT_TYPE_MAX} bytes, not {}", value.len()));
    }
    let token = |part: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !part.is_empty() && part.bytes().all(known)
    };
    let essence = value.split(';').next().unwrap_or_default().trim_end();
    let typed = essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub));
    if !typed || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return refuse("must be a media type such as image/png (RFC 9110)".to_owned());
    }
    Ok(())
}

pub(crate) fn check_size(size: u64) -> Result<(), InvalidField> {
    if size > SIZE_MAX {
        let problem = format!("must be at most {SIZE_MAX} bytes (5 GiB), S3's limit for one PUT");
        return Err(InvalidField { field: "size", problem, too_large: true });
    }
    Ok(())
}

pub(crate) fn check_sha256(text: &str) -> Result<(), InvalidField> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(InvalidField::new("sha256", "must be 64 hex digits, as sha256sum prints them"))
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    check_tag_sizes(tags)?;
    tags.iter()
        .flat_map(|(name, value)| [name, value])
        .try_for_each(|text| check_characters("tags", text))
}

pub(crate) fn check_tag_sizes(tags: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    let refuse = |problem: String| Err(InvalidField::new("tags", problem));
    if tags.len() > TAGS_MAX {
        return refuse(format!("must be at most {TAGS_MAX} tags, not {}", tags.len()));
    }
    let bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > TAGS_BYTES_MAX {
        return refuse(format!("must be at most {TAGS_BYTES_MAX} bytes together, not {bytes}"));
    }
    if tags.contains_key("") {
        return refuse("a tag must have a name".to_owned());
    }
    Ok(())
}

/// Refuses characters that break a log line, a header or the reading order of a name.
fn check_characters(field: &'static str, text: &str) -> Result<(), InvalidField> {
    let turns_text = |c: char| {
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
    };
    let breaks_lines = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    let unsafe_to_show = |c: char| c.is_control() || turns_text(c) || breaks_lines(c);
    let refuse = |c: char, what: &str| {
        let code = u32::from(c);
        Err(InvalidField::new(
            field,
            format!("must not hold {what} characters; it holds U+{code:04X}"),
        ))
    };
    if let Some(c) = text.chars().find(|c| unsafe_to_show(*c)) {
        return refuse(c, "control");
    }
    super::invisible::invisible(text).map_or(Ok(()), |c| refuse(c, "invisible"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(filename: &str) -> Result<Declaration, InvalidField> {
        Declaration { filename: Some(filename.to_owned()), ..Declaration::plain() }.checked()
    }

    #[test]
    fn names_that_people_use_are_taken() {
        for name in [
            "a",
            "my \"report\" (1).pdf",
            "naïve 文書 🦀.txt",
            ".hidden",
            "a;b=c",
            &"x".repeat(255),
        ] {
            assert_eq!(named(name).unwrap().filename.as_deref(), Some(name));
        }
    }

    #[test]
    fn names_that_are_paths_or_lie_to_the_eye_are_refused() {
        let long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "a\r\nb",
            "a\0",
            "a\u{202e}fdp.exe",
            "a\u{2028}",
            &long,
        ] {
            assert_eq!(named(name).unwrap_err().field, "filename", "{name:?}");
        }
    }

    #[test]
    fn names_that_differ_by_what_is_not_seen_are_refused() {
        for name in [
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{ad}b",
            "a\u{e0041}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}",
            "a\u{2060}b",
            "a\u{34f}b",
            "a\u{3164}b",
            "a\u{115f}b",
            "a\u{fff9}b",
            "a\u{200d}b",
            "a\u{200c}b",
            "a\u{fe0f}",
            "\u{fe0f}",
            "\u{1f525}\u{200d}",
            "\u{200d}\u{1f525}",
            "\u{1f525}\u{fe0f}\u{fe0f}",
            "\u{1f525}\u{200d}\u{200d}\u{1f525}",
            "\u{6587}\u{200c}.txt",
        ] {
            let refused = named(name).unwrap_err();
            assert_eq!(refused.field, "filename", "{name:?}");
            assert!(refused.problem.contains("invisible"), "{name:?}: {}", refused.problem);
        }
        for name in [
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}.png",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f1e9}\u{1f1ea}",
            "\u{1f44d}\u{1f3fd}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.pdf",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{845b}\u{e0100}\u{98fe}",
        ] {
            assert_eq!(named(name).unwrap().filename.as_deref(), Some(name));
        }
    }

    #[test]
    fn content_types_are_media_types() {
        let typed = |value: &str| {
            Declaration { content_type: Some(value.to_owned()), ..Declaration::plain() }.checked()
        };
        for value in ["image/png", "text/plain; charset=utf-8", "application/vnd.api+json"] {
            assert!(typed(value).is_ok(), "{value}");
        }
        for value in
            ["", "png", "/", "a/", "a b/c", "text/plain\r\nx: y", "tëxt/plain", &"a/".repeat(99)]
        {
            assert_eq!(typed(value).unwrap_err().field, "content_type", "{value:?}");
        }
    }

    #[test]
    fn sizes_hashes_and_tags_have_limits() {
        let size = |size| Declaration { size: Some(size), ..Declaration::plain() }.checked();
        assert!(size(0).is_ok() && size(SIZE_MAX).is_ok());
        assert!(size(SIZE_MAX + 1).unwrap_err().too_large);

        let hash =
            |h: &str| Declaration { sha256: Some(h.to_owned()), ..Declaration::plain() }.checked();
        assert_eq!(hash(&"AB".repeat(32)).unwrap().sha256, Some("ab".repeat(32)));
        assert_eq!(hash(&"0g".repeat(32)).unwrap_err().field, "sha256");
        assert_eq!(hash("").unwrap_err().field, "sha256");

        let tags = |pairs: Vec<(String, String)>| {
            Declaration { tags: pairs.into_iter().collect(), ..Declaration::plain() }.checked()
        };
        let numbered = |n: usize| (0..n).map(|i| (format!("t{i}"), String::new())).collect();
        assert!(tags(numbered(50)).is_ok());
        assert_eq!(tags(numbered(51)).unwrap_err().field, "tags");
        assert!(tags(vec![("k".into(), "v".repeat(511))]).is_ok());
        assert!(tags(vec![("k".into(), "v".repeat(512))]).is_err());
        assert!(tags(vec![(String::new(), "v".into())]).is_err());
        assert!(tags(vec![("k".into(), "a\nb".into())]).is_err());
    }

    #[test]
    fn a_reason_is_short_and_on_one_line() {
        assert!(Reason::new("a duplicate".to_owned()).is_ok());
        assert!(Reason::new("é".repeat(128)).is_ok());
        assert_eq!(Reason::new("é".repeat(129)).unwrap_err().field, "reason");
        assert!(Reason::new("a\nb".to_owned()).is_err());
    }
}
