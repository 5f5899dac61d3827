"""What Triton says of itself, and beside it what its callers say of it: its own counters miss failures."""

from __future__ import annotations

from typing import Final

from monitoring.board import Board, Row
from monitoring.panels import Panel, rising
from monitoring.promql import least, of_every_instance, of_model, of_model_everywhere, rate, total, worst

REQUESTS: Final = total(rate(of_model("nv_inference_request_success")), "model")
_TRITON: Final = 'backend="triton"'
_P95: Final = 'quantile="0.95"'
OFF: Final = "while no Triton runs"
_BY_CALLERS: Final = of_every_instance("detector_attempts_total", _TRITON, 'code!~"ok|cancelled"')
_SUMMARIES: Final = "and where it was started without --metrics-config=summary_latencies=true"


def mean_s(duration: str) -> str:
    """Of one request, from a counter of microseconds."""
    return f"{total(rate(of_model(duration)), 'model')} / {REQUESTS} / 1e6"


now = Row(
    "Now",
    (
        Panel(
            "Reachable",
            "Whether Prometheus reaches Triton's metrics. A Triton whose model is dead is reachable all the "
            "same.",
            "none",
            {"{{instance}}": 'up{job="triton", instance=~"$instance"}'},
            kind="stat", width=6, height=5,
            words={0: ("down", "red"), 1: ("up", "green")},
            alerts=("TritonDown",),
        ),
        Panel(
            "Really answers",
            "Whether the backend has had a real inference out of it. Reachable and without answers is a dead "
            "stub or a model that is not loaded.",
            "none",
            {"{{detector}}": f"{least(of_every_instance('detector_ready', _TRITON), 'detector')} >= 0"},
            kind="stat", width=6, height=5,
            words={0: ("no", "red"), 1: ("yes", "green")},
            alerts=("TritonModelNotReady", "TritonStubDead"), empty_when="while the flags do not let Triton be used",
        ),
        Panel(
            "Failing calls",
            "The share of the backend's calls that Triton did not answer well, in 5 minutes.",
            "percentunit",
            {"{{detector}}": of_every_instance("detector_backend:detector_attempts_failed:ratio_rate5m", _TRITON)},
            kind="stat", width=6, height=5, steps=rising(red=0.01),
            alerts=("TritonErrorsHigh",), empty_when="while the backend does not ask Triton",
        ),
        Panel(
            "p95 of what it serves",
            "As callers of the backend have it, in 5 minutes.",
            "s",
            {"{{detector}}": of_every_instance("detector_backend:detector_request_duration_seconds:p95_5m", _TRITON)},
            kind="stat", width=6, height=5, steps=rising(red=0.2),
            alerts=("TritonLatencyHigh",), empty_when="while Triton serves nobody",
        ),
    ),
)  # fmt: skip

work = Row(
    "Requests and batches",
    (
        Panel(
            "Requests",
            "Answered, per model. Triton counts a request that failed inside its batch as answered, and "
            "warm-up as traffic.",
            "reqps",
            {"{{model}}": REQUESTS},
            stacked=True, empty_when=OFF,
        ),
        Panel(
            "Batch size",
            "Pictures in one execution, on average, in all instances. 1 under load: the batcher finds "
            "nothing to put together; at the largest size with requests waiting, Triton is full.",
            "short",
            {"{{model}}": of_model_everywhere("model:nv_inference_batch_size:mean5m")},
            empty_when=f"{OFF} or nobody asks it",
        ),
        Panel(
            "Waiting",
            "Requests in the queue at the moment of the scrape. It holds 64 on a CPU and 256 on a GPU for each "
            "model; what comes then is turned away.",
            "short",
            {"{{model}}": total(of_model("nv_inference_pending_request_count"), "model")},
            alerts=("TritonQueueSlow", "TritonQueueOverflow"), empty_when=OFF,
        ),
    ),
)  # fmt: skip

failures = Row(
    "Failures",
    (
        Panel(
            "As its callers see them",
            "Calls that did not succeed, by what the backend made of the answer. This is what alerts go by. "
            "`overloaded`: the queue was full; `server_error` by the second: look for a dead stub; `refused` "
            "is a picture that it cannot read.",
            "reqps",
            {"{{code}}": total(rate(_BY_CALLERS), "code")},
            width=12, stacked=True,
            alerts=("TritonErrorsHigh",),
        ),
        Panel(
            "As Triton counts them",
            "By reason. Triton counts neither a request that failed inside its batch nor one that a full "
            "queue turned away, so nothing here proves nothing.",
            "reqps",
            {"{{reason}}": total(rate(of_model("nv_inference_request_failure")), "reason")},
            width=12, stacked=True, empty_when=OFF,
        ),
    ),
)  # fmt: skip

times = Row(
    "Times",
    (
        Panel(
            "Queue",
            "How long a request waited for its batch, on average, in all instances. More than the batcher's "
            "delay: more is asked than is done.",
            "s",
            {"{{model}}": of_model_everywhere("model:nv_inference_queue_duration_seconds:mean5m")},
            steps=rising(red=0.1), alerts=("TritonQueueSlow",), empty_when=f"{OFF} or nobody asks it",
        ),
        Panel(
            "Compute",
            "The execution that a request was in, on average, input and output apart. It grows with the batch.",
            "s",
            {
                "{{model}} input": mean_s("nv_inference_compute_input_duration_us"),
                "{{model}} infer": mean_s("nv_inference_compute_infer_duration_us"),
                "{{model}} output": mean_s("nv_inference_compute_output_duration_us"),
            },
            stacked=True, empty_when=f"{OFF} or nobody asks it",
        ),
        Panel(
            "p95 by Triton's own count",
            "Of one request inside Triton, network apart; of the slowest instance, since quantiles cannot be "
            "added up. Alerts go by the backend's histogram.",
            "s",
            {
                "{{model}}": f"{worst(of_model('nv_inference_request_summary_us', _P95), 'model')} / 1e6"
            },
            alerts=("TritonLatencyHigh",), empty_when=f"{OFF}, nobody asks it, {_SUMMARIES}",
        ),
    ),
)  # fmt: skip

TRITON: Final = Board(
    "triton",
    "Crossfade: Triton",
    "Load, batches, queue and compute of each model",
    (now, work, failures, times),
    instances='label_values(up{job="triton"}, instance)',
)
