//! Logs as JSON lines, metrics for Prometheus, and W3C traces: carried in headers through outbox and topics, exported over OTLP when an endpoint is set.

mod described;
pub(crate) mod step_log;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::global::BoxedSpan;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::vocabulary::TraceContext;

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
static EXPORTING: OnceLock<SdkTracerProvider> = OnceLock::new();

/// From a fast batch to a slow review.
const SECONDS: [f64; 16] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0, 86_400.0];
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0, 1000.0];

/// Logs of this process as JSON lines on standard error; `RUST_LOG` says how much (default `info`). The second call does nothing.
pub fn log() {
    log_unless_set("info,rdkafka=warn,sqlx=warn");
}

/// The same, with what is logged unless `RUST_LOG` says otherwise.
pub fn log_unless_set(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let json = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
    let _ = json.with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// The metrics of this process; none when another recorder was installed before.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    let build = || {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("seconds".into()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("size".into()), &COUNTS))
            .and_then(PrometheusBuilder::install_recorder)
            .inspect(|_| described::describe())
            .inspect_err(|error| tracing::warn!(%error, "metrics are not recorded"))
            .ok()
    };
    METRICS.get_or_init(build).as_ref()
}

/// Exports the spans of recorded traces over OTLP/HTTP. The decision which to record was made where the trace began.
pub fn export(endpoint: &str, service: &str) -> Result<(), opentelemetry_otlp::ExporterBuildError> {
    if EXPORTING.get().is_some() {
        return Ok(());
    }
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter =
        SpanExporter::builder().with_http().with_endpoint(url).with_timeout(Duration::from_secs(5)).build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(Resource::builder().with_service_name(service.to_owned()).build())
        .build();
    global::set_tracer_provider(provider.clone());
    let _ = EXPORTING.set(provider);
    Ok(())
}

/// Sends what was not exported yet; called when the process ends.
pub(crate) fn flush() {
    if let Some(provider) = EXPORTING.get()
        && let Err(error) = provider.force_flush()
    {
        tracing::warn!(%error, "traces not exported");
    }
}

/// A fresh W3C trace context for an order whose placer sent none; recorded for this share of them, decided by the id, so that every
/// process decides alike.
pub fn begin_trace(id: Uuid, share: f64) -> String {
    let (_, low) = id.as_u64_pair();
    format!("00-{}-{:016x}-0{}", id.simple(), low | 1, u8::from(is_in_share(id, share)))
}

/// Whether an id is among this share of all: every process decides alike.
pub(crate) fn is_in_share(id: Uuid, share: f64) -> bool {
    let (_, low) = id.as_u64_pair();
    (low % 1_000_000) as f64 / 1_000_000.0 < share
}

/// The spans of one attempt at a batch: ended when it is committed, dropped unsent when it is not.
#[derive(Default)]
pub(crate) struct Spans(Vec<BoxedSpan>);

impl Spans {
    /// Begins a span for one decision of a recorded trace, and moves the thread on to it.
    pub fn begin(&mut self, consumer: &'static str, cause: Uuid, thread: &mut TraceContext) {
        if EXPORTING.get().is_none() {
            return;
        }
        let parent = thread.traceparent.as_deref().and_then(parse);
        let Some(parent) = parent.filter(SpanContext::is_sampled) else { return };
        let tracer = global::tracer("quadrille");
        let builder = tracer.span_builder(format!("{consumer} decides")).with_kind(SpanKind::Consumer);
        let builder = builder.with_attributes([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.message.id", cause.to_string()),
            KeyValue::new("quadrille.correlation_id", thread.correlation_id.to_string()),
        ]);
        let span = builder.start_with_context(&tracer, &Context::new().with_remote_span_context(parent));
        let context = span.span_context();
        thread.traceparent = Some(
            format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8()).into(),
        );
        self.0.push(span);
    }

    /// Ends them: the batch is committed.
    pub fn end(self) {
        self.0.into_iter().for_each(|mut span| span.end());
    }
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (Some("00"), Some(trace), Some(span), Some(flags)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_trace_is_valid_and_its_recording_follows_the_share() {
        let id = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0007_a11f);
        let never = begin_trace(id, 0.0);
        let always = begin_trace(id, 1.0);
        assert!(!parse(&never).unwrap().is_sampled(), "{never}");
        assert!(parse(&always).unwrap().is_sampled(), "{always}");
        assert_eq!(parse("00-nonsense-1-01"), None);
    }
}
