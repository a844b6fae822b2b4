"""The masks of a frame: the vehicle's own parts, sky by geometry, people's own masks."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from geo_nav.geodesy import LocalFrame, Pose
from geo_nav.matching import create_matcher
from geo_nav.registration import FrameMasks, MaskConfig, Registrar, RegistrationConfig, RegistrationError, Status
from geo_nav.registration.gimbal import rotation_from_gimbal
from geo_nav.registration.linearization import moved
from geo_nav.registration.masks import read_vehicle_mask
from geo_nav.registration.semantic_masks import ENTRY_POINT_GROUP, create_mask, mask_names
from geo_nav.registration.skyline import sky_mask, skyline_profile
from geo_nav.rendering import Camera, RenderedView, Renderer, Undistorter, create_renderer
from geo_nav.site import ModelError, SiteModel, SiteTile
from registration_site import camera, photographed, synthetic_site, texture, truth_pose

TIGHT = np.diag([0.2, 0.2, 0.1, 0.005, 0.005, 0.01]) ** 2
WIDE = np.diag([15.0, 15.0, 5.0, 0.03, 0.03, 0.1]) ** 2
SIGMAS = 3.0
GROUND, FACADE, KERB = 120.0, 10.0, 8.0
"""Half the ground's side, height of the facades, and how far each stands from the middle of the street; metres."""


def street() -> SiteModel:
    """Flat ground and, along 80 m of a road to the north, a facade at each side."""
    quads = [
        [(-GROUND, -GROUND, 0), (GROUND, -GROUND, 0), (GROUND, GROUND, 0), (-GROUND, GROUND, 0)],
        [(-KERB, -20, 0), (-KERB, 60, 0), (-KERB, 60, FACADE), (-KERB, -20, FACADE)],
        [(KERB, 60, 0), (KERB, -20, 0), (KERB, -20, FACADE), (KERB, 60, FACADE)],
    ]
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    tiles = tuple(SiteTile(np.array(q, np.float32), faces, uv, texture(k)) for k, q in enumerate(quads))
    return SiteModel("street", LocalFrame(47.0, 8.0, 400.0), tiles, ModelError(np.array([0.05, 0.05, 0.1])))


def gimbal_pose(position: tuple[float, float, float], heading: float, pitch: float, roll: float = 0.0) -> Pose:
    return Pose(rotation_from_gimbal(*np.radians([heading, pitch, roll])), np.array(position))


IN_STREET = gimbal_pose((1.0, 0.0, 1.6), 3.0, 1.0, -2.0)
AT_FACADE = gimbal_pose((1.0, 0.0, 1.6), 85.0, 45.0)
OBLIQUE = gimbal_pose((0.0, -60.0, 60.0), 10.0, -45.0, 4.0)
OBLIQUE_CAMERA = Camera(640, 480, 200.0, 200.0, 319.5, 239.5)
"""100° high, so that a camera that looks 45° down still sees the horizon."""


@pytest.fixture(scope="module")
def in_street() -> Iterator[Renderer]:
    made = create_renderer(street())
    yield made
    made.close()


@pytest.fixture(scope="module")
def over_hills() -> Iterator[Renderer]:
    made = create_renderer(synthetic_site(1))
    yield made
    made.close()


@pytest.fixture
def view(request: pytest.FixtureRequest) -> tuple[Renderer, Camera, Pose]:
    if request.param == "street":
        return request.getfixturevalue("in_street"), camera(), IN_STREET
    return request.getfixturevalue("over_hills"), OBLIQUE_CAMERA, OBLIQUE


def off_by(covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An error on the rim of what SIGMAS allow: to the side, up or down, of the tilt, of the heading."""
    sigma = SIGMAS * np.sqrt(np.diag(covariance))
    side, tilt = rng.uniform(0, 2 * np.pi, 2)
    signs = rng.choice([-1.0, 1.0], 2)
    return sigma * [np.cos(side), np.sin(side), signs[0], np.cos(tilt), np.sin(tilt), signs[1]]


def shown_but_masked(renderer: Renderer, lens: Camera, prior: Pose, covariance: np.ndarray, sky: np.ndarray) -> int:
    """Pixels taken for sky that show the site from poses which the covariance allows."""
    rng = np.random.default_rng(2)
    truths = [moved(prior, off_by(covariance, rng)) for _ in range(12)]
    return sum(int((sky & renderer.render(lens, truth).mask).sum()) for truth in truths)


@pytest.mark.parametrize(("view", "least"), [("street", 0.4), ("oblique", 0.75)], indirect=["view"])
def test_sky_is_masked_and_nothing_of_the_site_is(view: tuple[Renderer, Camera, Pose], least: float) -> None:
    renderer, lens, prior = view
    sky = sky_mask(renderer, lens, prior, TIGHT, SIGMAS)
    empty = ~renderer.render(lens, prior).mask
    assert 0.1 < empty.mean() < 0.5
    assert (sky & empty).sum() > least * empty.sum()
    assert shown_but_masked(renderer, lens, prior, TIGHT, sky) == 0


ONE_ERROR = {
    "sideways": np.diag([0.8, 0.8, 0.0, 0.0, 0.0, 0.0]) ** 2,
    "height": np.diag([0.0, 0.0, 0.4, 0.0, 0.0, 0.0]) ** 2,
    "tilt": np.diag([0.0, 0.0, 0.0, 0.03, 0.03, 0.0]) ** 2,
    "heading": np.diag([0.0, 0.0, 0.0, 0.0, 0.0, 0.06]) ** 2,
}


@pytest.mark.parametrize("kind", ONE_ERROR)
def test_each_error_of_the_prior_is_allowed_for(in_street: Renderer, kind: str) -> None:
    covariance, untold = ONE_ERROR[kind], 0
    for prior in (IN_STREET, AT_FACADE):
        sky = sky_mask(in_street, camera(), prior, covariance, SIGMAS)
        assert sky.mean() > 0.01
        assert shown_but_masked(in_street, camera(), prior, covariance, sky) == 0
        # A mask that is not told of the error would drop what the error brings into view.
        certain = sky_mask(in_street, camera(), prior, np.zeros((6, 6)), SIGMAS)
        untold += shown_but_masked(in_street, camera(), prior, covariance, certain)
    assert untold > 10_000


def test_facades_above_the_horizon_are_kept(in_street: Renderer) -> None:
    sky = sky_mask(in_street, camera(), IN_STREET, TIGHT, SIGMAS)
    shown = in_street.render(camera(), IN_STREET).mask
    rows, columns = np.nonzero(shown)
    rays = camera().rays(np.column_stack([columns, rows])) @ IN_STREET.rotation.T
    above = rays[:, 2] > 0.0
    assert above.sum() > 50_000
    assert not sky[rows[above], columns[above]].any()


@pytest.mark.parametrize(
    "covariance",
    [
        np.diag([5.0, 5.0, 2.0, 0.02, 0.02, 0.03]) ** 2,
        np.diag([0.2, 0.2, 0.1, 1.0, 1.0, 3.0]) ** 2,
        np.diag([0.2, 0.2, 5.0, 0.005, 0.005, 0.01]) ** 2,
    ],
    ids=["position", "attitude", "height"],
)
def test_a_prior_too_wide_to_tell_masks_nothing(in_street: Renderer, covariance: np.ndarray) -> None:
    assert not sky_mask(in_street, camera(), IN_STREET, covariance, SIGMAS).any()


def test_the_skyline_is_the_facades_edge(in_street: Renderer) -> None:
    exact = skyline_profile(in_street, IN_STREET.translation, np.zeros((3, 3)), SIGMAS, turn=0.0)
    moved_by = skyline_profile(in_street, IN_STREET.translation, np.diag([1.0, 1.0, 0.2]) ** 2, SIGMAS, turn=0.0)
    rise = FACADE - IN_STREET.translation[2]
    # East (0°) the facade is 7 m away, 3 m of error bring it to 4 m, and 0.6 m lift it.
    assert np.degrees(exact[0]) == pytest.approx(np.degrees(np.arctan2(rise, 7.0)), abs=2.0)
    assert np.degrees(moved_by[0]) == pytest.approx(np.degrees(np.arctan2(rise + 0.6, 4.0)), abs=2.0)
    # North (90°) there is the flat ground's edge, and 20° beside it a facade that may come nearer.
    assert np.degrees(exact[180]) == pytest.approx(np.degrees(np.arctan2(-1.6, GROUND)), abs=2.0)
    assert moved_by[140] > exact[140] + np.radians(5.0)


def test_a_camera_that_looks_down_costs_no_render() -> None:
    class Untouchable:
        name = "untouchable"

        def render(self, camera: Camera, T_map_camera: Pose) -> RenderedView:
            raise AssertionError("rendered")

        def close(self) -> None: ...

    assert not sky_mask(Untouchable(), camera(), truth_pose(), WIDE, SIGMAS).any()


def vehicle_file(tmp_path: Path, lens: Camera, columns: int) -> Path:
    mask = np.full((lens.height, lens.width), 255, np.uint8)
    mask[:, :columns] = 0
    path = tmp_path / "vehicle.png"
    cv2.imwrite(str(path), mask)
    return path


def test_the_vehicle_mask_is_undistorted_with_the_frame(tmp_path: Path, over_hills: Renderer) -> None:
    lens = camera(distorted=True)
    masks = FrameMasks(MaskConfig(vehicle=str(vehicle_file(tmp_path, lens, 200))))
    for width in (640, 480):
        undistorter = Undistorter(lens, width)
        frame = np.zeros((undistorter.pinhole.height, undistorter.pinhole.width, 3), np.uint8)
        usable = masks.usable(frame, undistorter, over_hills, truth_pose(), WIDE)
        rows = np.arange(20.0, 460.0, 40.0)
        edge = lens.undistort_pixels(np.column_stack([np.full(len(rows), 199.5), rows]))
        edge = (edge + 0.5) * width / 640 - 0.5
        for u, v in edge:
            first = int(np.argmax(usable[round(v)]))
            assert 0.0 < first - u < 2.5
        assert usable[undistorter.valid].mean() == pytest.approx(1 - 200 / 640, abs=0.02)


def test_no_feature_lies_on_the_vehicle(tmp_path: Path, over_hills: Renderer) -> None:
    frame = photographed(over_hills.render(camera(), truth_pose()).image)
    frame[:, :200] = texture(9)[:480, :200]
    site = synthetic_site(1)
    inside = []
    for config in (None, MaskConfig(vehicle=str(vehicle_file(tmp_path, camera(), 200)))):
        masks = None if config is None else FrameMasks(config)
        registrar = Registrar(over_hills, create_matcher("sift"), RegistrationConfig(), site.error, masks=masks)
        found = registrar.register(frame, camera(), moved(truth_pose(), np.array([1.0, 1.0, 0, 0, 0, 0])), TIGHT * 25)
        assert found.accepted, found.reason
        assert found.T_map_camera is not None
        assert found.T_map_camera.distance_to(truth_pose()) < 0.3
        assert ("mask" in found.milliseconds) == (masks is not None)
        assert registrar.last_frame is not None
        inside.append(int((registrar.last_frame.features.keypoints[:, 0] < 200).sum()))
        assert registrar.last_frame.usable[:, :199].any() == (len(inside) == 1)
    assert inside[0] > 100
    assert inside[1] == 0


def test_a_vehicle_mask_of_another_size_refuses_the_frame(tmp_path: Path, over_hills: Renderer) -> None:
    small = dataclasses.replace(camera(), width=320, height=240)
    masks = FrameMasks(MaskConfig(vehicle=str(vehicle_file(tmp_path, small, 10))))
    registrar = Registrar(
        over_hills, create_matcher("sift"), RegistrationConfig(), synthetic_site(1).error, masks=masks
    )
    found = registrar.register(texture(3)[:480, :640], camera(), truth_pose(), TIGHT)
    assert found.status is Status.BAD_INPUT
    assert "320x240" in found.reason
    assert "640x480" in found.reason


def test_a_vehicle_mask_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"absent\.png cannot be read: No such file"):
        FrameMasks(MaskConfig(vehicle=str(tmp_path / "absent.png")))
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(RegistrationError, match="not a picture"):
        read_vehicle_mask(text)
    ones = tmp_path / "ones.png"
    cv2.imwrite(str(ones), np.ones((48, 64), np.uint8))
    with pytest.raises(RegistrationError, match="greatest value is 1"):
        read_vehicle_mask(ones)


def test_masks_that_leave_too_little_refuse_the_frame(tmp_path: Path, in_street: Renderer) -> None:
    up = gimbal_pose((0.0, 0.0, 1.6), 0.0, 35.0)
    path = vehicle_file(tmp_path, camera(), 300)
    masks = FrameMasks(MaskConfig(vehicle=str(path), min_usable=0.5))
    registrar = Registrar(in_street, create_matcher("sift"), RegistrationConfig(), street().error, masks=masks)
    found = registrar.register(texture(3)[:480, :640], camera(), up, TIGHT)
    assert found.status is Status.BAD_INPUT
    assert "50% are needed" in found.reason
    assert "vehicle 47%" in found.reason
    sky = sky_mask(in_street, camera(), up, TIGHT, SIGMAS).mean()
    assert sky > 0.2
    assert f"sky {sky:.0%}" in found.reason


def test_built_in_masks_drop_what_they_name() -> None:
    image = np.full((100, 120, 3), 120, np.uint8)
    image[40:50, 60:70] = 255
    image[70:80, 60:70] = (255, 255, 90)
    usable = create_mask("saturated")(image)
    assert (~usable).sum() == 18 * 18
    assert not usable[36:54, 56:74].any()
    # A fisheye's image circle: what is dark inside it is part of the scene.
    v, u = np.mgrid[:100, :120]
    radius = np.hypot(u - 60, v - 50)
    image = np.where((radius < 40)[..., None], image, 3).astype(np.uint8)
    image[48:53, 40:45] = 0
    usable = create_mask("dead_border")(image)
    assert usable[radius < 33].all()
    assert not usable[radius > 38].any()
    assert create_mask("dead_border")(np.full((50, 50, 3), 90, np.uint8)).all()


PACKAGE = """
import numpy as np

class Left:
    name = "left"
    def __call__(self, image):
        assert image.ndim == 3
        usable = np.zeros(image.shape[:2], bool)
        usable[:, :320] = True
        return usable

class Broken:
    name = "broken"
    def __call__(self, image):
        raise ValueError("no weights")

class Grey:
    name = "grey"
    def __call__(self, image):
        return image[..., 0]

class Needy:
    def __init__(self, device):
        self.name = device
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's installed package that offers masks."""
    (tmp_path / "their_masks.py").write_text(PACKAGE)
    for package, offers in (
        ("theirs", ("left=Left", "broken=Broken", "grey=Grey", "needy=Needy")),
        ("other", ("left=Grey",)),
    ):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = their_masks:{cls}" for name, cls in (offer.split("=") for offer in offers)]
        if package == "other":
            lines = [line.replace("left", "twice") for line in lines] + ["left = their_masks:Left"]
        else:
            lines.append("twice = their_masks:Left")
        (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINT_GROUP}]", *lines]) + "\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_package_adds_its_mask_by_name(over_hills: Renderer) -> None:
    assert {"left", "broken", "dead_border", "saturated"} <= set(mask_names())
    frame = cv2.cvtColor(photographed(over_hills.render(camera(), truth_pose()).image), cv2.COLOR_RGB2GRAY)
    verdicts = {}
    for names in ("left, saturated", "broken", "grey"):
        registrar = Registrar(
            over_hills,
            create_matcher("sift"),
            RegistrationConfig(),
            synthetic_site(1).error,
            masks=FrameMasks(MaskConfig(semantic=names)),
        )
        verdicts[names] = registrar.register(np.asarray(frame, np.uint8), camera(), truth_pose(), TIGHT * 25)
    left = verdicts["left, saturated"]
    assert left.accepted, left.reason
    assert left.tie_points is not None
    assert left.tie_points.pixels[:, 0].max() < 320
    assert verdicts["broken"].status is Status.BAD_INPUT
    assert "'broken' failed: ValueError('no weights')" in verdicts["broken"].reason
    assert verdicts["grey"].status is Status.BAD_INPUT
    assert "'grey' must return (480, 640) bool, it returned (480, 640) uint8" in verdicts["grey"].reason


@pytest.mark.usefixtures("installed")
def test_a_mask_that_cannot_be_had_is_named() -> None:
    with pytest.raises(RegistrationError, match="unknown semantic mask 'cars': use one of broken, dead_border"):
        FrameMasks(MaskConfig(semantic="cars"))
    with pytest.raises(RegistrationError, match=r"'needy' .*cannot be made: TypeError"):
        FrameMasks(MaskConfig(semantic="needy"))
    with pytest.raises(
        RegistrationError, match="'twice' is offered more than once: their_masks:Grey, their_masks:Left"
    ):
        FrameMasks(MaskConfig(semantic="twice"))
