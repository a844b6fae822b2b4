"""Parameters of the matching room."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MatchingConfig(BaseModel):
    """What every matcher can be told; a matcher reads the fields that concern it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keypoint_density: float = Field(4000.0, description="features kept per megapixel of the picture, 1/Mpx", gt=0)
    max_keypoints: int = Field(8192, description="features kept at most, whatever the picture's size", ge=16, le=50000)
    ratio: float = Field(
        0.85, description="Lowe's ratio of the best to the second best descriptor distance (1: no test)", gt=0, le=1
    )
    min_similarity: float = Field(
        0.6, description="least cosine of the angle between two learned descriptors, no unit", ge=-1, le=1
    )
    min_confidence: float = Field(
        0.1, description="least probability that a learned matcher gives to a match, no unit", ge=0, le=1
    )
    contrast_threshold: float = Field(
        0.01, description="SIFT: least contrast of a keypoint, share of the full range", ge=0, le=1
    )
    detection_threshold: float = Field(0.05, description="XFeat: least probability of a keypoint, no unit", ge=0, le=1)
    window: int = Field(96, description="orientation: side of the windows that are correlated, pixels", ge=32, le=256)
    window_reach: float = Field(
        64.0, description="orientation: a window is looked for no further from its prediction, pixels", ge=8, le=128
    )
    aliked_threshold: float = Field(0.2, description="ALIKED: least score of a keypoint, no unit", ge=0, le=1)
    runtime: str = Field(
        "auto",
        description="what runs networks: auto (onnx on a CPU, torch on CUDA), torch, onnx",
        pattern="^(auto|torch|onnx)$",
    )
    adaptive: bool = Field(
        True, description="LightGlue on a CPU, in torch: stop early, drop keypoints that find no partner"
    )
    device: str = Field(
        "auto",
        description="where networks run: auto (CUDA if there is one), cpu, cuda, tensorrt (else CUDA, else CPU)",
        pattern="^(auto|cpu|cuda|tensorrt)$",
    )
    precision: str = Field(
        "auto", description="of networks: auto (half on a GPU), full, half (GPU only)", pattern="^(auto|full|half)$"
    )
    threads: int = Field(1, description="threads of OpenCV, torch and onnxruntime, count", ge=1, le=256)
    cache_dir: str = Field(
        "", description="folder for ONNX files and TensorRT engines; empty: $XDG_CACHE_HOME/geo_nav or ~/.cache/geo_nav"
    )
