"""A world, a flight and its sensors, with truth."""

from geo_nav.simulation.aiding import AttitudeReference, GpsReceiver
from geo_nav.simulation.camera import CameraSimulator, camera_mounting, make_camera
from geo_nav.simulation.conditions import Condition, ConditionFrame, condition_names, open_condition
from geo_nav.simulation.config import SimulationConfig
from geo_nav.simulation.errors import SimulationError
from geo_nav.simulation.flight import make_flight
from geo_nav.simulation.flown_worlds import FLOWN_WORLDS, generate_flown
from geo_nav.simulation.imu import ImuRecord, ideal_imu, synthesise_imu
from geo_nav.simulation.simulation import Simulation, ensure_world
from geo_nav.simulation.trajectory import FlightSpline, Motion, PoseSpline, Trajectory
from geo_nav.simulation.world import World, generate_world, world_folder

__all__ = [
    "AttitudeReference",
    "CameraSimulator",
    "Condition",
    "ConditionFrame",
    "FLOWN_WORLDS",
    "FlightSpline",
    "GpsReceiver",
    "ImuRecord",
    "Motion",
    "PoseSpline",
    "Simulation",
    "SimulationConfig",
    "SimulationError",
    "Trajectory",
    "World",
    "camera_mounting",
    "condition_names",
    "ensure_world",
    "generate_flown",
    "generate_world",
    "ideal_imu",
    "make_camera",
    "make_flight",
    "open_condition",
    "synthesise_imu",
    "world_folder",
]
