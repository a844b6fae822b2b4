"""ROS 2 adapters, one file a node; the only room that imports rclpy."""
