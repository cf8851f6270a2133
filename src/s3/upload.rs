//! One upload, from the socket to a draft whose bytes match the client's claims.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use s3s::dto::{PutObjectInput, StreamingBlob};
use s3s::{S3Error, S3ErrorCode as Code, S3Request, S3Result, s3_error};

use super::folder::broken;
use super::refusal::failed;
use super::staged::{Digests, SMALL, StagedUpload};
use super::store::ObjectStore;

/// S3's limit for one PUT.
pub(super) const LARGEST: u64 = 5 * 1024 * 1024 * 1024;
/// How long a client may send nothing, as in S3.
const IDLE: Duration = Duration::from_secs(20);

/// The supported checksums, by the suffix of their header: `x-amz-checksum-<name>`.
const ALGORITHMS: [&str; 5] = ["sha256", "crc32", "crc32c", "crc64nvme", "sha1"];

/// Whether a header is a checksum that is verified here. S3 adds new ones.
pub(super) fn is_checksum(header: &str) -> bool {
    header.strip_prefix("x-amz-checksum-").is_some_and(|name| ALGORITHMS.contains(&name))
}

/// A client's claims about its bytes.
#[derive(Debug)]
pub(super) struct UploadHeaders {
    length: u64,
    md5: Option<String>,
    /// Algorithm and value in base64; `None` if the value follows the bytes, as a trailer.
    checksums: Vec<(&'static str, Option<String>)>,
}

impl UploadHeaders {
    pub(super) fn read(request: &S3Request<PutObjectInput>) -> S3Result<Self> {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name| header(name).and_then(|text| text.parse().ok());
        // An aws-chunked body is longer than its content.
        let length = number("x-amz-decoded-content-length").or_else(|| number("content-length"));
        let length = length.ok_or_else(|| s3_error!(MissingContentLength))?;
        if length > LARGEST {
            return Err(s3_error!(EntityTooLarge));
        }
        let trailers = header("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
        let trailers: Vec<_> = trailers.split(',').map(str::trim).collect();
        if trailers.iter().any(|name| !name.is_empty() && !is_checksum(name)) {
            return Err(s3_error!(NotImplemented, "A trailer that is not understood"));
        }
        let declared = |name| {
            let full = format!("x-amz-checksum-{name}");
            let value = header(&full).map(str::to_owned);
            (value.is_some() || trailers.contains(&full.as_str())).then_some((name, value))
        };
        let checksums = ALGORITHMS.into_iter().filter_map(declared).collect();
        Ok(Self { length, md5: header("content-md5").map(str::to_owned), checksums })
    }

    /// Whether the bytes stay in memory until all have come.
    pub(super) fn is_small(&self) -> bool {
        self.length <= SMALL as u64
    }

    fn hasher(&self, staged: &mut StagedUpload) {
        for (name, _) in &self.checksums {
            match *name {
                "crc32" => staged.others.crc32 = Some(s3s::crypto::Checksum::new()),
                "crc32c" => staged.others.crc32c = Some(s3s::crypto::Checksum::new()),
                "crc64nvme" => staged.others.crc64nvme = Some(s3s::crypto::Checksum::new()),
                "sha1" => staged.others.sha1 = Some(s3s::crypto::Checksum::new()),
                _ => {} // SHA-256 is always computed
            }
        }
    }

    /// Compares with the received bytes. `trailer` reads a header that came after them.
    fn verify(&self, sums: &Digests, trailer: impl Fn(&str) -> Option<String>) -> S3Result<()> {
        if sums.size != self.length {
            return Err(s3_error!(IncompleteBody));
        }
        if let Some(declared) = &self.md5 {
            let digest = STANDARD.decode(declared).map_err(|_| s3_error!(InvalidDigest))?;
            if digest.len() != sums.md5.len() {
                return Err(s3_error!(InvalidDigest));
            }
            if digest != sums.md5 {
                return Err(s3_error!(BadDigest));
            }
        }
        for (name, value) in &self.checksums {
            let header = format!("x-amz-checksum-{name}");
            let declared = value.clone().or_else(|| trailer(&header));
            if declared.is_none() || declared != sum(sums, name) {
                let text = format!("The {name} you specified did not match the calculated one.");
                return Err(S3Error::with_message(Code::BadDigest, text));
            }
        }
        Ok(())
    }
}

fn sum(sums: &Digests, name: &str) -> Option<String> {
    match name {
        "crc32" => sums.others.checksum_crc32.clone(),
        "crc32c" => sums.others.checksum_crc32c.clone(),
        "crc64nvme" => sums.others.checksum_crc64nvme.clone(),
        "sha1" => sums.others.checksum_sha1.clone(),
        _ => Some(STANDARD.encode(sums.sha256)),
    }
}

/// Receives `request`'s body into a draft and checks it. An error leaves no file.
pub(super) async fn receive(
    store: &ObjectStore,
    request: &mut S3Request<PutObjectInput>,
    declared: &UploadHeaders,
) -> S3Result<(StagedUpload, Digests)> {
    let mut staged = store.folder.draft();
    declared.hasher(&mut staged);
    if let Some(body) = request.input.body.take() {
        staged = write(staged, body, declared.length).await?;
    }
    let (staged, sums) = staged.complete().await.map_err(unwritten)?;
    let trailers = request.trailing_headers.as_ref();
    declared.verify(&sums, |name| {
        trailers?.read(|all| all.get(name)?.to_str().ok().map(str::to_owned)).flatten()
    })?;
    Ok((staged, sums))
}

async fn write(
    mut staged: StagedUpload,
    mut body: StreamingBlob,
    length: u64,
) -> S3Result<StagedUpload> {
    let mut left = length;
    while let Some(chunk) = next(&mut body).await? {
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| s3_error!(IncompleteBody))?;
        staged = staged.absorb(chunk).await.map_err(unwritten)?;
    }
    Ok(staged)
}

fn unwritten(error: io::Error) -> S3Error {
    failed(&broken("a draft", error))
}

async fn next(body: &mut StreamingBlob) -> S3Result<Option<Bytes>> {
    match tokio::time::timeout(IDLE, body.next()).await {
        Ok(chunk) => chunk.transpose().map_err(|error| broken_off(&*error)),
        Err(_) => Err(s3_error!(RequestTimeout)),
    }
}

/// Why a body ended early. s3s does not export its stream errors, so only their text is available.
fn broken_off(error: &(dyn std::error::Error + 'static)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut error = S3Error::new(Code::Custom("XAmzContentSHA256Mismatch".into()));
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else if text.contains(crate::server::TOO_SLOW) {
        s3_error!(RequestTimeout)
    } else {
        tracing::debug!(error = text, "an upload broke off");
        s3_error!(IncompleteBody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums() -> Digests {
        let others =
            s3s::dto::Checksum { checksum_crc32: Some("crc".into()), ..Default::default() };
        Digests { size: 5, sha256: [1; 32], md5: [2; 16], others }
    }

    fn told(
        length: u64,
        md5: Option<&str>,
        checksum: Option<(&'static str, Option<&str>)>,
    ) -> String {
        let checksums = checksum.map(|(name, value)| (name, value.map(str::to_owned)));
        let checksums = checksums.into_iter().collect();
        let declared = UploadHeaders { length, md5: md5.map(str::to_owned), checksums };
        let trailer = |name: &str| (name == "x-amz-checksum-crc32").then(|| "crc".to_owned());
        let answer = declared.verify(&sums(), trailer);
        answer.map_or_else(|error| error.code().as_str().to_owned(), |()| "fits".to_owned())
    }

    #[test]
    fn bytes_are_held_to_what_was_said_of_them() {
        let (sha, md5) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 16]));
        assert_eq!(told(5, Some(&md5), Some(("sha256", Some(&sha)))), "fits");
        assert_eq!(told(5, None, Some(("crc32", None))), "fits", "it came behind the bytes");
        assert_eq!(told(5, None, Some(("sha256", None))), "BadDigest", "it never came");
        assert_eq!(told(5, None, Some(("sha256", Some("else")))), "BadDigest");
        assert_eq!(told(5, None, Some(("crc32", Some("else")))), "BadDigest");
        assert_eq!(told(6, None, None), "IncompleteBody");
        assert_eq!(told(5, Some(&STANDARD.encode([3; 16])), None), "BadDigest");
        for broken in ["!", "AAAA"] {
            assert_eq!(told(5, Some(broken), None), "InvalidDigest", "{broken}");
        }
    }

    #[test]
    fn a_checksum_that_is_not_verified_is_not_understood() {
        assert!(is_checksum("x-amz-checksum-crc64nvme"));
        assert!(!is_checksum("x-amz-checksum-sha512") && !is_checksum("x-amz-checksum-type"));
    }
}
