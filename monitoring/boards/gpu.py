"""The GPUs, as Triton and the legacy services read them from the driver. All of it is empty where there is none."""

from __future__ import annotations

from typing import Final

from monitoring.board import Board, Row
from monitoring.panels import Panel, rising

HERE: Final = 'job=~"triton|$detector", instance=~"$instance"'  # a legacy service is called as its detector
CARD: Final = (
    "{{job}} {{instance}} {{gpu_uuid}}{{gpu}}"  # Triton gives the card's id, the services its number
)
NO_GPU: Final = "on a machine without an NVIDIA GPU"
NOT_REPORTED: Final = f"{NO_GPU}, and where the GPU does not report it (a MIG slice)"

use = Row(
    "Use",
    (
        Panel(
            "Busy",
            "The share of time in which a kernel ran, over 5 minutes. High is what the GPU was bought for; "
            "at the limit, more requests wait or are shed. Both sides on one card show the same figure.",
            "percentunit",
            {CARD: f"gpu:utilization:mean5m{{{HERE}}}"},
            width=12, most=1, steps=rising(yellow=0.95),
            alerts=("GpuBusy",), empty_when=NOT_REPORTED,
        ),
        Panel(
            "Memory in use",
            "Of the whole card, whoever uses it. Near 1 the next model does not load and a large batch fails.",
            "percentunit",
            {CARD: f"gpu:memory_used:ratio{{{HERE}}}"},
            width=12, most=1, steps=rising(red=0.92),
            alerts=("GpuMemoryHigh",), empty_when=NO_GPU,
        ),
    ),
)  # fmt: skip

cost = Row(
    "Memory and power",
    (
        Panel(
            "Memory",
            "In use on the card, and what it has. A model version that is loaded beside the present one "
            "needs room for both.",
            "bytes",
            {
                f"{CARD} in use": f"nv_gpu_memory_used_bytes{{{HERE}}} or gpu_memory_used_bytes{{{HERE}}}",
                f"{CARD} in all": f"nv_gpu_memory_total_bytes{{{HERE}}} or gpu_memory_total_bytes{{{HERE}}}",
            },
            empty_when=NO_GPU,
        ),
        Panel(
            "Power",
            "Drawn by the card, and the limit that it is set to. At the limit it clocks down. As Triton "
            "reads it.",
            "watt",
            {
                "{{instance}} {{gpu_uuid}} drawn": f"nv_gpu_power_usage{{{HERE}}}",
                "{{instance}} {{gpu_uuid}} limit": f"nv_gpu_power_limit{{{HERE}}}",
            },
            empty_when=f"{NOT_REPORTED}, and while no Triton runs",
        ),
        Panel(
            "Energy of one inference",
            "What the card drew for each request that Triton answered, whoever else used it at the time.",
            "joule",
            {
                "{{instance}}": f"sum by (instance) (rate(nv_energy_consumption{{{HERE}}}[$__rate_interval])) / "
                f"sum by (instance) (rate(nv_inference_request_success{{{HERE}}}[$__rate_interval]))"
            },
            empty_when=f"{NOT_REPORTED}, and while nobody asks Triton",
        ),
    ),
)  # fmt: skip

GPU: Final = Board(
    "gpu",
    "Crossfade: GPU",
    "Use, memory and power of the GPUs",
    (use, cost),
    instances='label_values(up{job=~"triton|rtdetr|yolo26"}, instance)',
)
