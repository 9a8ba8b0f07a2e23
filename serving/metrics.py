"""Metrics for Prometheus. Label values come from small sets, such as cameras: never a query, a crop or a key."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from personsearch.installation.process_metrics import EngineMetrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The instruments of one application; each application has its own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(EngineMetrics())
        self._requests = Counter(
            "personsearch_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "personsearch_http_request_seconds", "Time to answer.", ["route"], registry=registry, buckets=SECONDS
        )
        self.encode_seconds = Histogram(
            "personsearch_encode_seconds", "Time to encode a new query.", registry=registry, buckets=SECONDS
        )
        self.search_seconds = Histogram(
            "personsearch_search_seconds", "Time to encode and search.", registry=registry, buckets=SECONDS
        )
        self.searches = Counter("personsearch_searches", "Searches answered.", ["outcome"], registry=registry)
        self.first_candidates = Counter(
            "personsearch_first_candidates", "First candidates of searches.", ["camera", "outcome"], registry=registry
        )
        self.embedded = Counter("personsearch_embedded", "Inputs turned into vectors.", ["kind"], registry=registry)
        self.verdicts = Counter("personsearch_verdicts", "Candidates judged.", ["verdict"], registry=registry)
        self.crops_sent = Counter("personsearch_crops_sent", "Crops that cameras sent.", ["outcome"], registry=registry)
        self.refused = Counter("personsearch_refused", "Requests refused.", ["reason"], registry=registry)
        self.alerts_raised = Counter("personsearch_alerts_raised", "Alerts of watched searches.", registry=registry)
        self.alerts_behind = Gauge(
            "personsearch_alerts_behind",
            "Changes of the gallery not compared with watched searches.",
            registry=registry,
        )
        self.alert_webhooks = Counter(
            "personsearch_alert_webhooks", "Tries to tell a webhook of an alert.", ["outcome"], registry=registry
        )
        self.webhooks = Counter("personsearch_webhooks", "Webhooks of MLflow.", ["outcome"], registry=registry)
        self.audit_failures = Counter("personsearch_audit_failures", "Records not written.", registry=registry)
        self.anchor_failures = Counter(
            "personsearch_audit_anchor_failures", "Heads of the audit log not kept.", registry=registry
        )
        self.ready = Gauge("personsearch_ready", "1 while searches are answered.", registry=registry)
        self.live_crops = Gauge("personsearch_live_crops", "Crops in the live collection.", registry=registry)
        self.live_switches = Counter("personsearch_live_switches", "Collections gone live.", registry=registry)
        self.live_failures = Counter("personsearch_live_failures", "Collections that failed.", registry=registry)

    def first_candidates_of(self, camera: str) -> tuple[int, int]:
        """How many first candidates of searches this camera gave since the start, and how many of them were no
        reliable match.
        """
        counts = {
            sample.labels["outcome"]: int(sample.value)
            for metric in self.first_candidates.collect()
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.labels["camera"] == camera
        }
        return sum(counts.values()), counts.get("no_reliable_match", 0)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)
