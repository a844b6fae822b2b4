"""Nine conditions: each is what its name says, and the truth of its frames is true."""

from itertools import product

import cv2
import numpy as np
import pytest
import rasterio

from geo_nav.rendering import Undistorter, create_renderer
from geo_nav.simulation import (
    Condition,
    SimulationConfig,
    SimulationError,
    condition_names,
    flown_worlds,
    generate_flown,
    open_condition,
    street_world,
)
from geo_nav.simulation.flown_worlds import FLOWN_VERSION
from geo_nav.simulation.parcels import Border
from geo_nav.simulation.plan import plan_world
from geo_nav.site import load_site

SEED, SIZE = 1, 500.0


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Conditions of one small world by name; each is opened once."""
    folder, conditions = tmp_path_factory.mktemp("conditions"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(street_world, "GROUND_RESOLUTION", 0.4)
        patch.setattr(street_world, "WALL_RESOLUTION", 0.15)

        # Coarser than flown by default, to be made fast.
        config = SimulationConfig(
            seed=SEED, world_size=SIZE, world_dir=str(folder), orthophoto_resolution=0.8, flown_resolution=0.4
        )

        def get(name):
            if name not in conditions:
                conditions[name] = Condition(name, config, quiet=True)
            return conditions[name]

        yield get
    for condition in conditions.values():
        condition.close()


@pytest.fixture(scope="module")
def plan(opened):
    return plan_world(opened("oblique")._camera._config)


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def noise_of(image):
    """1 sigma of what differs between neighbours in the smoothest tenth of a picture, grey values."""
    picture = grey(image)
    fine = picture - cv2.blur(picture, (3, 3))
    spread = np.sqrt(cv2.blur(fine * fine, (25, 25)))[20:-20, 20:-20]
    return float(np.percentile(spread, 10.0))


def shift_to_render(condition, frame, renderer, pose=None):
    """Median pixels by which keypoints of an undistorted frame lie beside a render's, from the true or another pose."""
    undistort = Undistorter(condition.camera)
    view = renderer.render(undistort.pinhole, pose or frame.T_map_camera)
    sift = cv2.SIFT_create(2000)
    (first, a), (second, b) = (sift.detectAndCompute(p, None) for p in (undistort(frame.image), view.image))
    pairs = [m for m, n in cv2.BFMatcher().knnMatch(a, b, k=2) if m.distance < 0.75 * n.distance]
    ways = np.array([np.subtract(first[m.queryIdx].pt, second[m.trainIdx].pt) for m in pairs])
    near = np.linalg.norm(ways, axis=1) < 12.0
    assert near.sum() >= 20
    return float(np.linalg.norm(np.median(ways[near], axis=0)))


def test_the_names_are_the_nine_and_another_is_refused(tmp_path):
    assert condition_names() == (
        "same_day", "low_sun", "winter", "fog", "dusk", "motion_blur", "oblique", "changed_buildings", "street",
    )  # fmt: skip
    with pytest.raises(SimulationError, match=r"no condition 'sandstorm'.*same_day"):
        open_condition("sandstorm", world_dir=tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is generated for a name that is wrong"


def test_a_world_without_a_street_is_a_clear_error(tmp_path):
    with pytest.raises(SimulationError, match="no street"):
        open_condition("street", SEED, tmp_path, 200.0, quiet=True)


def test_frames_repeat_and_are_spread_evenly_over_the_flight(opened):
    condition = opened("oblique")
    first, again = list(condition.frames(4)), list(condition.frames(4))
    assert [f.stamp for f in first] == pytest.approx([75.0, 225.0, 375.0, 525.0])
    for a, b in zip(first, again, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.T_map_camera.matrix, b.T_map_camera.matrix)
    assert first[0].image.shape == (480, 640, 3)
    assert first[0].image.dtype == np.uint8
    assert not np.array_equal(first[0].image, first[1].image)
    with pytest.raises(SimulationError, match="one frame or more"):
        next(condition.frames(0))


@pytest.mark.parametrize("name", ["same_day", "oblique", "street", "motion_blur"])
def test_the_truth_is_where_the_frame_was_taken(opened, name):
    condition = opened(name)
    renderer = create_renderer(load_site(condition.flown_yaml), anisotropy=4.0)
    frame = next(condition.frames(1))
    assert shift_to_render(condition, frame, renderer) < 0.6
    turned = frame.T_map_camera.rotation @ cv2.Rodrigues(np.array([0.0, np.radians(0.5), 0.0]))[0]
    beside = type(frame.T_map_camera)(turned, frame.T_map_camera.translation)
    assert shift_to_render(condition, frame, renderer, beside) > 3.0, "half a degree would be seen"
    renderer.close()


def test_known_roofs_lie_at_their_depth(opened, plan):
    """A flat roof's middle, projected into the frame, has the depth that a render of the flown world has there."""
    condition = opened("oblique")
    renderer, pinhole = create_renderer(load_site(condition.flown_yaml)), condition.camera.pinhole()
    roofs = [b for b in plan.buildings if b.roof == "flat" and b.epochs[1]]
    middles = plan.to_map([[*b.centre, b.ground + b.eaves] for b in roofs])
    seen = 0
    for frame in condition.frames(6):
        points = frame.T_map_camera.inverse().transform(middles)
        pixels = pinhole.project(points)
        depth = renderer.render(pinhole, frame.T_map_camera).depth
        inside = (np.nan_to_num(pixels, nan=-1.0) > 1).all(axis=1) & (np.nan_to_num(pixels) < [638, 478]).all(axis=1)
        for (u, v), (_, _, z) in zip(pixels[inside].round().astype(int), points[inside], strict=True):
            seen += abs(depth[v, u] - z) < 0.6
            assert depth[v, u] < z + 0.6, "nothing of the roof is missing"
    assert seen >= 5
    renderer.close()


def test_oblique_looks_45_degrees_down_and_the_others_more_steeply(opened):
    axes = {n: np.array([f.T_map_camera.rotation[2, 2] for f in opened(n).frames(12)]) for n in ("oblique", "same_day")}
    down = {name: np.degrees(np.arcsin(-z)) for name, z in axes.items()}
    assert down["oblique"].mean() == pytest.approx(45.0, abs=5.0)
    assert np.abs(down["oblique"] - 45.0).max() < 12.0
    assert down["same_day"].min() > 55.0


def test_the_street_is_driven_at_a_car_s_height_looking_along_it(opened, plan):
    condition = opened("street")
    streets = np.vstack([line.path for line in plan.lines if line.border is Border.STREET])
    for stamp in np.linspace(condition._trajectory.start, condition._trajectory.end, 40):
        pose = condition._camera.pose(float(stamp))
        place = plan.from_map(pose.translation)
        assert 1.65 < place[2] - plan.terrain.at(*place[:2]) < 2.6
        assert np.degrees(abs(np.arcsin(pose.rotation[2, 2]))) < 7.0
        assert np.hypot(*(streets - place[:2]).T).min() < 4.5, "vertices of a street are up to 8 m apart"
        along = condition._trajectory.motion(float(stamp)).velocity
        assert pose.rotation[:, 2] @ along / np.linalg.norm(along) > np.cos(np.radians(15.0))


def test_street_frames_show_sky_above_and_walls(opened):
    frame = next(opened("street").frames(1))
    sky = frame.image[:40].astype(float).mean(axis=(0, 1))
    assert sky[2] > sky[0] + 10.0
    assert grey(frame.image)[240:].std() > 8.0


def test_dusk_is_darker_and_noisier(opened):
    dusk, day = (next(opened(name).frames(1)).image for name in ("dusk", "oblique"))
    assert dusk.mean() < 0.75 * day.mean()
    assert noise_of(dusk) > 2.5 * noise_of(day)
    assert dusk[..., 2].mean() / dusk[..., 0].mean() > 1.1 * day[..., 2].mean() / day[..., 0].mean(), "it is bluer"


def test_fog_takes_the_more_contrast_the_farther_it_looks(opened):
    """Against the same world, which is the dusk's too, in no air."""
    fog = opened("fog")
    assert fog.flown_yaml == opened("dusk").flown_yaml
    renderer = create_renderer(load_site(fog.flown_yaml))
    pose = fog._camera.pose(75.0)
    near, far = (type(pose)(pose.rotation, pose.translation + np.array([0.0, 0.0, up])) for up in (0.0, 150.0))
    contrast = []
    for at in (near, far):
        view = renderer.render(fog.camera.pinhole(), at)
        # Where neighbours in a row lie at nearly one depth; the edge of this small world is in sight.
        smooth = np.abs(np.diff(view.depth[300:], axis=1)) < 0.01 * view.depth[300:, 1:]
        clear, seen = (np.diff(np.square(p[300:] / 255.0), axis=1) for p in (view.image, fog.atmosphere(view)))
        v, u = np.mgrid[300:480, 1:640]
        slant = np.linalg.norm(view.camera.rays(np.column_stack([u.ravel(), v.ravel()])), axis=1).reshape(u.shape)
        left = fog.atmosphere.transmission(view.depth[300:, 1:] * slant)[..., None] * np.square(fog.atmosphere.light)
        contrast.append(seen[smooth].std() / clear[smooth].std())
        assert contrast[-1] == pytest.approx((clear * left)[smooth].std() / clear[smooth].std(), rel=0.03)
    assert contrast[1] < 0.6 * contrast[0]
    renderer.close()


def test_motion_blur_streaks_are_several_pixels_long_and_lie_along_the_motion(opened):
    condition = opened("motion_blur")
    camera, exposure = condition._camera, condition._camera._config.exposure_time
    lengths = []
    for stamp in np.linspace(5.0, 595.0, 60):
        motion = condition._trajectory.motion(float(stamp))
        omega = camera.T_base_camera.rotation.T @ motion.angular_velocity
        v = camera.T_base_camera.rotation.T @ motion.rotation.T @ motion.velocity
        flow = np.array([-omega[1] - v[0] / 150.0, omega[0] - v[1] / 150.0]) * condition.camera.fx * exposure
        lengths.append(np.hypot(*flow))
    assert 4.0 < np.median(lengths) < 10.0
    assert 10.0 < np.percentile(lengths, 95) < 18.0
    k = int(np.argmax(lengths))
    stamp = float(np.linspace(5.0, 595.0, 60)[k])
    blurred = grey(camera.frame(stamp))
    renderer = create_renderer(load_site(condition.flown_yaml))
    sharp = grey(renderer.render(condition.camera.pinhole(), camera.pose(stamp)).image)
    h = 0.001
    point = camera.pose(stamp).transform(np.array([[0.0, 0.0, 120.0]]))
    ends = [condition.camera.pinhole().project(camera.pose(stamp + d).inverse().transform(point))[0] for d in (-h, h)]
    way = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])

    def energy(picture, direction):
        smooth = cv2.GaussianBlur(picture / picture.std(), (0, 0), 1.0)
        gradient = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], axis=-1)
        return float(np.square(gradient[80:-80, 80:-80] @ direction).mean())

    across = np.array([-way[1], way[0]])
    kept = {d: energy(blurred, w) / energy(sharp, w) for d, w in (("along", way), ("across", across))}
    assert kept["along"] < 0.45
    assert kept["along"] < 0.6 * kept["across"]
    renderer.close()


def test_winter_is_white_in_part_and_its_frames_are_pale(opened):
    winter, day = (np.concatenate([f.image for f in opened(n).frames(3)]) for n in ("winter", "same_day"))
    saturation = [float(np.median(cv2.cvtColor(i, cv2.COLOR_RGB2HSV)[..., 1])) for i in (winter, day)]
    assert saturation[0] < 0.6 * saturation[1]


def test_half_of_the_buildings_stand_otherwise(opened, plan):
    """The height of the flown world over the middle of every surveyed building, against the survey's."""
    condition = opened("changed_buildings")
    surveyed = [b for b in plan.buildings if b.epochs[0] and ((b.centre > 60.0) & (b.centre < SIZE - 60.0)).all()]
    camera = condition.camera.pinhole().resized(64)
    renderers = [create_renderer(load_site(y)) for y in (condition.site_yaml, condition.flown_yaml)]
    changed = 0
    for b in surveyed:
        top = plan.to_map([b.centre[0] + 0.6, b.centre[1] + 0.4, b.ground + 60.0])
        pose = type(condition._camera.pose(0.0))(np.diag([1.0, -1.0, -1.0]), top)
        depths = [r.render(camera, pose).depth for r in renderers]
        u, v = round(camera.cx), round(camera.cy)
        changed += any(abs(depths[0][v + i, u + j] - depths[1][v + i, u + j]) > 0.5 for i, j in product((0, 4), (0, 4)))
    assert len(surveyed) > 40
    assert 0.38 < changed / len(surveyed) < 0.65
    for renderer in renderers:
        renderer.close()


def test_other_flown_worlds_share_the_relief_and_what_is_wrong_is_said_clearly(opened, monkeypatch):
    config, flown = opened("fog")._camera._config, opened("fog").flown_yaml.parent
    with rasterio.open(flown / "dem.tif") as a, rasterio.open(flown.parent / "flown" / "dem.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())
    marker = (flown / "site.yaml").stat().st_mtime_ns
    assert generate_flown(config, "overcast").flown_yaml.stat().st_mtime_ns == marker, "made once"
    with pytest.raises(SimulationError, match="no flown world 'spring'"):
        generate_flown(config, "spring")
    monkeypatch.setitem(flown_worlds._WRITERS, "low_sun", lambda *_: None)
    (flown.parent / f"low_sun_v{FLOWN_VERSION}").write_text("in the way")
    with pytest.raises(SimulationError, match="'low_sun' cannot be written"):
        generate_flown(config, "low_sun")
