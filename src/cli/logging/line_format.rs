//! The format of text lines. Those about requests without an error are most of the log, so they are
//! formatted here, as the usual format would, but without its styles.

use std::fmt::{self, Debug};

use ledger::{Effects, time};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::logging::MAY_WAIT;
use crate::system::SystemEffects;

/// The usual format, with a shorter way for lines that may wait, unless they are coloured.
pub(super) struct LineFormat<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for LineFormat<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if writer.has_ansi_escapes() || event.metadata().name() != MAY_WAIT {
            return self.0.format_event(context, writer, event);
        }
        writer.write_str(&time::format(SystemEffects.now()))?;
        writer.write_str("  INFO ")?;
        if let Some(spans) = context.event_scope() {
            for span in spans.from_root() {
                writer.write_str(span.metadata().name())?;
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                    && !fields.is_empty()
                {
                    writer.write_char('{')?;
                    writer.write_str(fields.as_str())?;
                    writer.write_char('}')?;
                }
                writer.write_char(':')?;
            }
            writer.write_char(' ')?;
        }
        let mut values = PlainValues::new(writer.by_ref());
        event.record(&mut values);
        values.result?;
        writer.write_char('\n')
    }
}

/// Writes a message and values without styles.
pub(super) struct PlainValues<W> {
    pub(super) writer: W,
    result: fmt::Result,
    first: bool,
}

impl<W: fmt::Write> PlainValues<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, result: Ok(()), first: true }
    }

    fn write(&mut self, field: &Field, value: &dyn Debug) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.writer.write_char(' ')?;
        }
        if field.name() != "message" {
            self.writer.write_str(field.name())?;
            self.writer.write_char('=')?;
        }
        write!(self.writer, "{value:?}")
    }
}

impl<W: fmt::Write> Visit for PlainValues<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines without their times, which are checked.
    fn lines(written: &Written) -> Vec<String> {
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let line = |line: &str| {
            let (time, rest) = line.split_at(27);
            assert!(time::parse(time).is_some(), "{line}");
            rest.to_owned()
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn a_line_that_may_wait_is_formatted_as_others_are() {
        let (usual, ours) = (Written::default(), Written::default());
        let [to_usual, to_ours] = [usual.clone(), ours.clone()];
        let heard = tracing_subscriber::registry()
            .with(layer().with_ansi(false).with_target(false).with_writer(move || to_usual.clone()))
            .with(
                layer()
                    .with_ansi(false)
                    .with_target(false)
                    .map_event_format(LineFormat)
                    .with_writer(move || to_ours.clone()),
            );
        with_default(heard, || {
            let answered = || {
                let (route, status, ms) = ("/a\"b\u{1b}/{id}", 200_u16, 0.25_f64);
                tracing::info!(name: MAY_WAIT, method = %"GET", route, status, ms, "answered");
            };
            answered();
            let outer = tracing::error_span!("outer", id = "a b", number = 1);
            outer.in_scope(|| {
                answered();
                tracing::error_span!("inner").in_scope(answered);
            });
            tracing::warn!("another line");
        });
        let ours = lines(&ours);
        assert_eq!(ours, lines(&usual));
        assert_eq!(
            ours[0],
            "  INFO answered method=GET route=\"/a\\\"b\\u{1b}/{id}\" status=200 ms=0.25"
        );
        assert_eq!(ours.len(), 4);
    }
}
