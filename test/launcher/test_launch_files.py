"""What a launch file says is what the nodes get."""

from __future__ import annotations

import itertools
import sys

import pytest

from geo_nav.launcher import LaunchError, describe_arguments, parse_arguments


def test_node_gets_name_namespace_parameters_remappings_and_arguments(make_package, launch_file, launch, tmp_path):
    make_package()
    (tmp_path / "base.yaml").write_text("/**: {ros__parameters: {a: 1}}\n")
    entities = f"""
        DeclareLaunchArgument("number", default_value="10"),
        SetParameter("use_sim_time", True),
        Node(
            package="standin", executable="node", name="n", namespace="/ns", arguments=["--flag", "exit=0"],
            parameters=[
                "{tmp_path}/base.yaml",
                {{
                    "integer": LaunchConfiguration("number"),
                    "text": "10",
                    "also_text": ParameterValue(LaunchConfiguration("number"), value_type=str),
                    "decimal": ParameterValue(LaunchConfiguration("number"), value_type=float),
                    "joined": ["x", LaunchConfiguration("number")],
                    "list": [1.5, 2.5],
                    "empty": LaunchConfiguration("none", default=""),
                    "nested": {{"inner": True}},
                }},
            ],
            remappings=[("in", ["/cam", LaunchConfiguration("number")])],
        ),
    """
    code, output, (report,) = launch(launch_file(entities))
    assert code == 0
    words = report["words"]
    assert words[:2] == ["--flag", "exit=0"]
    assert [f"{a} {b}" for a, b in itertools.pairwise(words) if a in ("-r", "-p")] == [
        "-r __node:=n",
        "-r __ns:=/ns",
        "-p use_sim_time:=true",
        "-r in:=/cam10",
    ]
    base, own = report["files"]
    assert base == {"/**": {"ros__parameters": {"a": 1}}}
    values = own["/ns/n"]["ros__parameters"]
    assert values == {
        "integer": 10,
        "text": "10",
        "also_text": "10",
        "decimal": 10.0,
        "joined": "x10",
        "list": [1.5, 2.5],
        "empty": "",
        "nested": {"inner": True},
    }
    assert type(values["decimal"]) is float
    # Every line is printed with the process's label, the last one too although it has no end.
    assert "[node-1] without newline\n" in output


def test_conditions_choose_entities(make_package, launch_file, launch):
    make_package()
    path = launch_file(
        """
        DeclareLaunchArgument("on", default_value="True"),
        DeclareLaunchArgument("kind", default_value="b"),
        Node(package="standin", executable="node", arguments=["if"], condition=IfCondition(LaunchConfiguration("on"))),
        Node(package="standin", executable="node", arguments=["unless"],
             condition=UnlessCondition(LaunchConfiguration("on"))),
        Node(package="standin", executable="node", arguments=["equal"],
             condition=IfCondition(EqualsSubstitution(LaunchConfiguration("kind"), "b"))),
        Node(package="standin", executable="node", arguments=["expression"],
             condition=IfCondition(PythonExpression(["'", LaunchConfiguration("kind"), "' != 'b'"]))),
        """
    )
    assert [r["words"][0] for r in launch(path)[2]] == ["if", "equal"]
    assert [r["words"][0] for r in launch(path, on="0", kind="c")[2]] == ["unless", "expression"]
    with pytest.raises(LaunchError, match="true, 1, false or 0, and is 'perhaps'"):
        launch(path, on="perhaps")


def test_include_passes_arguments_and_group_keeps_them_in(make_package, launch_file, launch):
    make_package()
    launch_file(
        """
        DeclareLaunchArgument("word"),
        DeclareLaunchArgument("own", default_value=["own-", LaunchConfiguration("word")]),
        Node(package="standin", executable="node", namespace="inner",
             arguments=[LaunchConfiguration("word"), LaunchConfiguration("own")]),
        """,
        name="inner.launch.py",
    )
    include = """IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/inner.launch.py"]),
        launch_arguments=[("word", "given")])"""
    path = launch_file(
        f"""
        DeclareLaunchArgument("word", default_value="outer"),
        GroupAction([PushRosNamespace("outer"), SetEnvironmentVariable("STANDIN_X", "1"), {include}]),
        Node(package="standin", executable="node", arguments=[LaunchConfiguration("word")]),
        """
    )
    inner, outer = launch(path)[2]
    assert inner["words"][:2] == ["given", "own-given"]
    assert "__ns:=/outer/inner" in inner["words"]
    assert inner["env"] == {"STANDIN_X": "1"}
    assert outer["words"][0] == "outer"
    assert outer["env"] == {}
    assert not any(word.startswith("__ns") for word in outer["words"])


def test_opaque_function_and_exit_handler_add_entities(make_package, launch_file, launch):
    make_package()
    before = """
def more(context, word):
    value = LaunchConfiguration("x").perform(context)
    first = Node(package="standin", executable="node", arguments=[word, value, "exit=0"])
    second = Node(package="standin", executable="node", arguments=["second", "exit=0"])
    return [first, RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[second]))]
"""
    path = launch_file('DeclareLaunchArgument("x"), OpaqueFunction(function=more, args=["first"]),', before=before)
    first, second = launch(path, x="7")[2]
    assert first["words"][:2] == ["first", "7"]
    assert second["words"][0] == "second"


def test_arguments_are_checked_before_anything_starts(make_package, launch_file, launch, capfd):
    make_package()
    path = launch_file(
        """
        Node(package="standin", executable="node"),
        DeclareLaunchArgument("site", description="path of the site"),
        DeclareLaunchArgument("vehicle", default_value="air", choices=["air", "ground"]),
        """
    )
    with pytest.raises(LaunchError, match=r"'site' \(path of the site\) has no default"):
        launch(path)
    with pytest.raises(LaunchError, match="vehicle:=boat must be one of: air, ground"):
        launch(path, site="s", vehicle="boat")
    with pytest.raises(LaunchError, match=r"no such launch argument: sight; the file has: site, vehicle"):
        launch(path, site="s", sight="s")
    assert "process started" not in capfd.readouterr().out
    assert launch(path, site="s")[0] == 0


def test_show_args_lists_included_arguments(launch_file):
    launch_file('DeclareLaunchArgument("fixed"), DeclareLaunchArgument("free", default_value="f"),', name="i.launch.py")
    path = launch_file(
        """
        DeclareLaunchArgument("own", description="what it is", choices=["a", "b"]),
        IncludeLaunchDescription(PythonLaunchDescriptionSource([ThisLaunchFileDir(), "/i.launch.py"]),
                                 launch_arguments=[("fixed", "1")]),
        """
    )
    text = describe_arguments(path)
    assert "'own':\n        what it is\n        (one of: a, b)\n" in text
    assert "'free':\n        no description given\n        (default: 'f')" in text
    assert "'fixed'" not in text


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ("TimerAction(period=1.0, actions=[]),", "name 'TimerAction' is not defined"),
        ('Node(package="standin", executable="node", lifecycle=True),', "unexpected keyword argument 'lifecycle'"),
        ('Node(package="standin", executable="other"),', "has no executable 'other' in .*; it has: node"),
        ('Node(package="nowhere", executable="node"),', "'nowhere' is in none of the .* sourced prefixes"),
        (
            'Node(package="standin", executable="node", parameters=["/no/file.yaml"]),',
            "no parameter file '/no/file.yaml'",
        ),
        ('Node(package="standin", executable="node", parameters=[{"a": None}]),', "not a parameter value: None"),
        ('LogInfo(msg=LaunchConfiguration("undeclared")),', "'undeclared' is used, but neither declared"),
        ('LogInfo(msg=EnvironmentVariable("STANDIN_NOT_SET")),', "'STANDIN_NOT_SET' is not set"),
        ('IncludeLaunchDescription("/no/such.launch.py"),', "no launch file '/no/such.launch.py'"),
        ('IncludeLaunchDescription(__file__.replace(".py", ".xml")),', "no launch file .*xml"),
        ('LogInfo(msg=PathJoinSubstitution([["a", "b"]])),', "must be text or a substitution"),
        ("RegisterEventHandler(object()),", "event handler not supported"),
        ("1 / 0,", r"test\.launch\.py:\d+: ZeroDivisionError"),
        ("(,", r"test\.launch\.py:\d+: SyntaxError"),
    ],
)
def test_what_cannot_be_done_is_named(make_package, launch_file, launch, entities, message):
    make_package()
    with pytest.raises(LaunchError, match=message):
        launch(launch_file(entities))


def test_names_that_the_runner_lacks_are_named_and_modules_restored(launch_file, launch):
    path = launch_file("", before="from launch.actions import TimerAction")
    with pytest.raises(LaunchError, match=r"'launch.actions.TimerAction' is not supported .*DeclareLaunchArgument"):
        launch(path)
    with pytest.raises(LaunchError, match=r"No module named 'launch.frontend'"):
        launch(launch_file("", before="import launch.frontend"))
    assert not [name for name in sys.modules if name.split(".")[0] in ("launch", "launch_ros")]


def test_arguments_are_parsed():
    assert parse_arguments(["a:=1", "b:=x:=y", "c:=", "a:=2"]) == {"a": "2", "b": "x:=y", "c": ""}
    with pytest.raises(LaunchError, match="'a=1' is no launch argument"):
        parse_arguments(["a=1"])
