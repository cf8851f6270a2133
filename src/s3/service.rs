//! The supported operations of S3, except the reads of objects, which are in `view`; s3s answers
//! `NotImplemented` to all others.

use std::sync::Arc;

use s3s::dto::{
    BucketVersioningStatus, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition,
    GetBucketVersioningInput, GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::event::{NotificationSource, REGION};
use super::listing;
use super::refusal::failed;
use super::rows::{Content, Headers};
use super::store::{NewVersion, ObjectStore};
use super::upload::{self, UploadHeaders};
use super::view::checksum;

/// The supported headers of a PUT. S3 has many more, each of which changes the stored data or the
/// access: an upload with such a header must not be accepted as if it had none.
const UNDERSTOOD: [&str; 7] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// The bucket as a service of s3s.
pub(super) struct BucketService {
    pub(super) store: Arc<ObjectStore>,
}

#[async_trait::async_trait]
impl S3 for BucketService {
    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.here(&request.input.bucket)?;
        let only_first = condition(&request)?;
        let declared = UploadHeaders::read(&request)?;
        let key = request.input.key.clone();
        // Before gigabytes are sent in vain. The transaction decides.
        if only_first && !declared.is_small() && self.has_object(&key).await? {
            return Err(taken());
        }
        let (staged, sums) = upload::receive(&self.store, &mut request, &declared).await?;
        let content = Content {
            size: sums.size,
            sha256: sums.sha256,
            md5: sums.md5,
            headers: said(&request.input),
        };
        let output = PutObjectOutput {
            e_tag: Some(ETag::Strong(content.etag())),
            checksum_sha256: Some(checksum(&content)),
            ..PutObjectOutput::default()
        };
        let new = NewVersion { key, content: Some(content), caller: caller(&request), only_first };
        let version = self.store.publish(staged, new).await.map_err(|e| failed(&e))?;
        let version = version.ok_or_else(taken)?;
        Ok(S3Response::new(PutObjectOutput { version_id: Some(version.id), ..output }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (input, caller) = (&request.input, caller(&request));
        self.here(&input.bucket)?;
        if input.if_match.is_some() || input.mfa.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let (id, marker) = if let Some(id) = &input.version_id {
            let gone = self.store.remove(&input.key, id, &caller).await;
            let gone = gone.map_err(|e| failed(&e))?;
            (id.clone(), gone.is_some_and(|version| version.content.is_none()))
        } else {
            let marker = self.store.mark(&input.key, caller).await.map_err(|e| failed(&e))?;
            (marker.id, true)
        };
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: marker.then_some(true),
            version_id: Some(id),
            ..DeleteObjectOutput::default()
        }))
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        self.here(&request.input.bucket)?;
        listing::page(&self.store, request.input).await.map(S3Response::new)
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.here(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(REGION.to_owned()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.here(&request.input.bucket)?;
        let enabled = BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
        Ok(S3Response::new(GetBucketVersioningOutput {
            status: Some(enabled),
            ..GetBucketVersioningOutput::default()
        }))
    }
}

impl BucketService {
    fn here(&self, bucket: &str) -> S3Result<()> {
        if bucket == self.store.bucket { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    async fn has_object(&self, key: &str) -> S3Result<bool> {
        let current = self.store.current(key).await.map_err(|e| failed(&e))?;
        Ok(current.is_some_and(|version| version.content.is_some()))
    }
}

/// Whether the upload must be the first. Refuses every other condition and every header of an
/// unsupported feature.
fn condition(request: &S3Request<PutObjectInput>) -> S3Result<bool> {
    let strange = request.headers.iter().find(|(name, value)| {
        let name = name.as_str();
        // This is always so here: only the owner can read it.
        let private = name == "x-amz-acl" && *value == "private";
        let free = private || name.starts_with("x-amz-meta-") || upload::is_checksum(name);
        name.starts_with("x-amz-") && !free && !UNDERSTOOD.contains(&name)
    });
    let input = &request.input;
    match (strange, &input.if_match, &input.if_none_match) {
        (None, None, None) => Ok(false),
        (None, None, Some(ETagCondition::Any)) => Ok(true),
        _ => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented"
        )),
    }
}

fn taken() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn said(input: &PutObjectInput) -> Headers {
    Headers {
        content_type: input.content_type.clone(),
        content_disposition: input.content_disposition.clone(),
        // `aws-chunked` is a transfer encoding, not the encoding of the content.
        content_encoding: input.content_encoding.as_deref().and_then(without_chunked),
        content_language: input.content_language.clone(),
        cache_control: input.cache_control.clone(),
        metadata: input.metadata.clone().unwrap_or_default().into_iter().collect(),
    }
}

fn without_chunked(encoding: &str) -> Option<String> {
    let rest: Vec<_> = encoding.split(',').map(str::trim).filter(|e| *e != "aws-chunked").collect();
    Some(rest.join(",")).filter(|encoding| !encoding.is_empty())
}

fn caller<T>(request: &S3Request<T>) -> NotificationSource {
    let unknown =
        || NotificationSource { request_id: String::new(), source_ip: "127.0.0.1".to_owned() };
    request.extensions.get().cloned().unwrap_or_else(unknown)
}
