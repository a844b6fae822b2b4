# shellcheck shell=bash
# The environment that geo_nav runs in; source it (`. scripts/env.sh`) after scripts/setup.sh, from bash.

_geo_nav_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ ! -f "$_geo_nav_root/.venv/bin/activate" ]; then
  echo "geo_nav: $_geo_nav_root/.venv is missing; run 'make setup' first" >&2
  unset _geo_nav_root
  return 1 2>/dev/null || exit 1
fi
. "$_geo_nav_root/.venv/bin/activate"
if [ -f "$_geo_nav_root/install/setup.bash" ]; then
  # colcon's and ament's scripts read variables that may be unset.
  case $- in *u*) _geo_nav_nounset=1; set +u ;; *) _geo_nav_nounset= ;; esac
  . "$_geo_nav_root/install/setup.bash"
  [ -z "$_geo_nav_nounset" ] || set -u
  unset _geo_nav_nounset
  # A sourced ROS may bring a Python; the libraries are in ours.
  export PATH="$_geo_nav_root/.venv/bin:$PATH"
else
  echo "geo_nav: $_geo_nav_root/install is missing; run 'make setup' first" >&2
fi

# Jazzy and older know only the first name; Kilted and later warn about it.
case "${ROS_DISTRO:-}" in
  humble | iron | jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_geo_nav_root/config/fastdds.xml}" ;;
  *) export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$_geo_nav_root/config/fastdds.xml}" ;;
esac
# Several nodes share the cores: one thread pool a process is enough, and idle OpenMP threads must not spin.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
export MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
export PYTHONUNBUFFERED=1
unset _geo_nav_root
