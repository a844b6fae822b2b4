import numpy as np
import pytest
import trimesh
from PIL import Image

from geo_nav.geodesy import LocalFrame
from geo_nav.site import HeightMap, ModelError, SiteConfig, SiteError, SiteModel, SiteTile, load_site
from geo_nav.site.split import split_by_place, split_by_texture
from site_helpers import CRS, write_descriptor

DATUM = {"latitude": 48.13, "longitude": 11.57, "height": 500.0}
# A square of 10 m in the plane z = 3, corners from the south-west counter-clockwise.
SQUARE = np.array([[0.0, 0.0, 3.0], [10.0, 0.0, 3.0], [10.0, 10.0, 3.0], [0.0, 10.0, 3.0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UV = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def picture(size=64):
    """North-west red, north-east green, south-west blue, south-east white."""
    image = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    image[:half, :half], image[:half, half:] = (255, 0, 0), (0, 255, 0)
    image[half:, :half], image[half:, half:] = (0, 0, 255), (255, 255, 255)
    return image


def textured(vertices=SQUARE, image=None):
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture() if image is None else image))
    visual = trimesh.visual.TextureVisuals(uv=UV, material=material)
    return trimesh.Trimesh(vertices, FACES, visual=visual, process=False)


def write_mesh(folder, mesh, name, datum=DATUM, **layer):
    mesh.export(folder / name)
    content = {} if datum is None else {"datum": datum}
    return write_descriptor(folder, [{"kind": "mesh", "file": name, "crs": "enu", **layer}], **content)


def color_of_corner(tile, corner):
    """Texture colour just inside the square at a corner of it."""
    vertex = np.linalg.norm(tile.vertices - corner, axis=1).argmin()
    height, width = tile.texture.shape[:2]
    u, v = np.clip(tile.uv[vertex], 0.01, 0.99)
    return tuple(int(c) for c in tile.texture[int((1 - v) * height), int(u * width)])


@pytest.mark.parametrize("name", ["a.obj", "a.glb", "a.gltf"])
def test_textures_lie_the_right_way_round(tmp_path, name):
    mesh = textured()
    (tmp_path / "sub").mkdir()
    site = write_mesh(tmp_path, mesh, name, up="z")
    (tile,) = load_site(site).tiles
    assert sorted(map(tuple, tile.vertices.tolist())) == sorted(map(tuple, SQUARE.tolist()))
    assert color_of_corner(tile, SQUARE[3])[0] > 200
    assert color_of_corner(tile, SQUARE[3])[2] < 60
    assert color_of_corner(tile, SQUARE[2])[1] > 200
    assert color_of_corner(tile, SQUARE[0])[2] > 200
    assert min(color_of_corner(tile, SQUARE[1])) > 200


def test_gltf_is_y_up_unless_told_otherwise(tmp_path):
    # glTF: x right, y up, z towards the viewer: north is -z.
    mesh = trimesh.Trimesh(np.array([[1.0, 7.0, -2.0], [3.0, 7.0, -2.0], [3.0, 7.0, -5.0]]), [[0, 1, 2]], process=False)
    low, high = load_site(write_mesh(tmp_path, mesh, "a.glb")).bounds
    assert low == pytest.approx([1.0, 2.0, 7.0])
    assert high == pytest.approx([3.0, 5.0, 7.0])


def test_scene_transforms_and_several_parts(tmp_path):
    scene = trimesh.Scene()
    red, blue = np.full((4, 4, 3), (250, 0, 0), np.uint8), np.full((4, 4, 3), (0, 0, 250), np.uint8)
    scene.add_geometry(textured(image=red), transform=trimesh.transformations.translation_matrix([100.0, 0.0, 1.0]))
    scene.add_geometry(textured(image=blue), transform=trimesh.transformations.translation_matrix([0.0, 50.0, 2.0]))
    model = load_site(write_mesh(tmp_path, scene, "a.glb", up="z"))
    assert len(model.tiles) == 2
    by_color = {("red" if tile.texture[0, 0, 0] > 100 else "blue"): tile for tile in model.tiles}
    assert by_color["red"].vertices.min(axis=0) == pytest.approx([100.0, 0.0, 4.0])
    assert by_color["blue"].vertices.max(axis=0) == pytest.approx([10.0, 60.0, 5.0])


def test_vertex_colours_of_a_ply(tmp_path):
    colors = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [9, 9, 9, 255]], np.uint8)
    mesh = trimesh.Trimesh(SQUARE, FACES, vertex_colors=colors, process=False)
    (tile,) = load_site(write_mesh(tmp_path, mesh, "a.ply")).tiles
    order = [np.linalg.norm(tile.vertices - corner, axis=1).argmin() for corner in SQUARE]
    assert tile.colors[order].tolist() == colors[:, :3].tolist()
    assert tile.texture.tolist() == [[[255, 255, 255]]]


def test_a_material_without_texture_gives_its_colour(tmp_path):
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[10, 200, 30, 255])
    visual = trimesh.visual.TextureVisuals(uv=UV, material=material)
    mesh = trimesh.Trimesh(SQUARE, FACES, visual=visual, process=False)
    (tile,) = load_site(write_mesh(tmp_path, mesh, "a.glb")).tiles
    # 8-bit 10, 200, 30 as linear light (glTF), in sRGB.
    assert tile.texture[0, 0] == pytest.approx([56, 229, 96], abs=1)


def test_a_mesh_in_utm_with_an_origin_reaches_the_frame_through_ecef(tmp_path):
    layer = {"crs": CRS, "origin": [691000.0, 5334000.0, 480.0], "vertical_datum": "egm96"}
    model = load_site(write_mesh(tmp_path, textured(), "a.obj", **layer))
    frame = LocalFrame(48.13, 11.57, 500.0)
    expected = frame.from_crs(*(SQUARE + layer["origin"]).T, CRS, "egm96")
    low, high = model.bounds
    assert low == pytest.approx(expected.min(axis=0), abs=1e-3)
    assert high == pytest.approx(expected.max(axis=0), abs=1e-3)
    without = load_site(write_mesh(tmp_path, textured(), "a.obj", datum=None, **layer))
    assert without.bounds.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.2)


def test_local_metres_need_a_datum(tmp_path):
    with pytest.raises(SiteError, match="datum"):
        load_site(write_mesh(tmp_path, textured(), "a.obj", datum=None))


def test_a_missing_texture_is_named(tmp_path):
    site = write_mesh(tmp_path, textured(), "a.obj")
    (texture,) = [p for p in tmp_path.iterdir() if p.suffix in (".png", ".jpg", ".jpeg")]
    texture.unlink()
    with pytest.raises(SiteError, match=f"texture .*{texture.name}"):
        load_site(site)


def test_a_missing_material_library_is_named(tmp_path):
    site = write_mesh(tmp_path, textured(), "a.obj")
    (library,) = tmp_path.glob("*.mtl")
    library.unlink()
    with pytest.raises(SiteError, match=f"material library .*{library.name}"):
        load_site(site)


def test_a_missing_gltf_texture_is_named(tmp_path):
    (tmp_path / "a.gltf").write_text('{"asset": {"version": "2.0"}, "images": [{"uri": "roof%20tiles.png"}]}')
    site = write_descriptor(tmp_path, [{"kind": "mesh", "file": "a.gltf", "crs": "enu"}], datum=DATUM)
    with pytest.raises(SiteError, match=r"roof tiles\.png"):
        load_site(site)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.glb", b"not a glb", "damaged"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\n", "no triangles"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "a.ply"),
        ("a.gltf", b"{", "not a glTF"),
        ("a.stl", b"solid", "not a mesh format"),
        ("a.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
    ],
)
def test_damaged_meshes_are_errors(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    site = write_descriptor(tmp_path, [{"kind": "mesh", "file": name, "crs": "enu"}], datum=DATUM)
    with pytest.raises(SiteError, match=message):
        load_site(site)


def test_coordinates_that_need_an_origin_are_an_error(tmp_path):
    with pytest.raises(SiteError, match="EPSG:4978"):
        load_site(write_mesh(tmp_path, textured(), "a.obj", crs="EPSG:4978"))


def grid_tile(n=40, texture_side=64):
    u, v = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1))
    i = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, :-1].ravel(), i[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
    vertices = np.stack([100 * u, 50 * v, 0 * u], axis=-1).reshape(-1, 3).astype(np.float32)
    ramp = (np.arange(texture_side) * 255 / texture_side).astype(np.uint8)
    texture = np.stack([np.tile(ramp, (texture_side, 1)), np.tile(ramp[:, None], (1, texture_side))], axis=-1)
    texture = np.concatenate([texture, np.zeros_like(texture[..., :1])], axis=-1)
    return SiteTile(vertices, faces, np.stack([u, v], -1).reshape(-1, 2).astype(np.float32), texture)


def face_colors(tile):
    """Texture colour at the centre of every face, keyed by the face's place."""
    height, width = tile.texture.shape[:2]
    uv, place = tile.uv[tile.faces].mean(axis=1), tile.vertices[tile.faces].mean(axis=1)
    pixels = np.stack([np.floor((1 - uv[:, 1]) * height), np.floor(uv[:, 0] * width)]).astype(int)
    return {tuple(np.round(p, 2)): c for p, c in zip(place.tolist(), tile.texture[pixels[0], pixels[1]], strict=True)}


def test_splitting_by_place_keeps_every_face_and_shares_the_texture():
    whole = grid_tile()
    parts = split_by_place(whole, 300)
    assert max(len(p.faces) for p in parts) <= 300
    assert all(p.texture is whole.texture for p in parts)
    merged = {k: v for p in parts for k, v in face_colors(p).items()}
    expected = face_colors(whole)
    assert merged.keys() == expected.keys()
    # Halved along the longer side, pieces stay compact.
    assert max(np.ptp(p.vertices[:, 0]) for p in parts) < 40.0


def test_splitting_by_texture_keeps_every_face_its_colour():
    whole = grid_tile(texture_side=1000)
    parts = split_by_texture(whole, 256)
    assert max(max(p.texture.shape[:2]) for p in parts) <= 256
    merged = {k: v for p in parts for k, v in face_colors(p).items()}
    expected = face_colors(whole)
    assert merged.keys() == expected.keys()
    worst = max(np.abs(merged[k].astype(int) - expected[k]).max() for k in expected)
    assert worst <= 1


def test_a_large_texture_of_a_mesh_is_split(tmp_path):
    site = write_mesh(tmp_path, textured(image=picture(600)), "a.obj")
    model = load_site(site, SiteConfig(max_texture_side=256))
    assert model.triangles == 2
    assert max(max(t.texture.shape[:2]) for t in model.tiles) <= 256


def test_height_is_the_highest_surface():
    low = SiteTile(
        (SQUARE * [4.0, 4.0, 0.0]).astype(np.float32), FACES.astype(np.int32), UV.astype(np.float32), picture(4)
    )
    roof = SiteTile(
        (SQUARE + [10.0, 10.0, 0.0] + SQUARE[:, :1] * [0.0, 0.0, 0.1]).astype(np.float32),
        FACES.astype(np.int32),
        UV.astype(np.float32),
        picture(4),
    )
    wall = SiteTile(
        np.array([[5, 0, 0], [5, 10, 0], [5, 10, 90]], np.float32),
        np.array([[0, 1, 2]], np.int32),
        np.zeros((3, 2), np.float32),
        picture(4),
    )
    heights = HeightMap(SiteModel("h", LocalFrame(0.0, 0.0, 0.0), (low, roof, wall), ModelError(np.ones(3))))
    east = np.array([[1.0, 15.0, 12.5], [30.0, 41.0, 20.0]])
    north = np.array([[1.0, 15.0, 17.0], [5.0, 5.0, 20.0]])
    expected = np.array([[0.0, 3.5, 3.25], [0.0, np.nan, 4.0]])
    assert heights(east, north) == pytest.approx(expected, nan_ok=True, abs=1e-6)
    assert np.isnan(heights(np.nan, 0.0))
    assert heights(5.0, 5.0) == pytest.approx(0.0)


def test_heights_of_many_places_agree_with_the_grid():
    tile = grid_tile()
    vertices = tile.vertices.copy()
    vertices[:, 2] = 0.3 * vertices[:, 0] - 0.1 * vertices[:, 1]
    model = SiteModel(
        "h", LocalFrame(0, 0, 0), (SiteTile(vertices, tile.faces, tile.uv, tile.texture),), ModelError(np.ones(3))
    )
    rng = np.random.default_rng(3)
    east, north = rng.uniform(0, 100, 100_000), rng.uniform(0, 50, 100_000)
    assert HeightMap(model)(east, north) == pytest.approx(0.3 * east - 0.1 * north, abs=1e-4)
