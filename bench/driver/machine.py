"""What a figure is worth nothing without: machine, kernel, compiler, flags, commit."""

import datetime
import os
import platform
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def output_of(*command):
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(r"^model name\s*: (.*)$", info.read(), re.M)
    return found[1] if found else platform.machine()


def build_settings(folder):
    """Compiler and flags of a build folder: ("g++ ... 12.2.0", "Release -O3 -DNDEBUG")."""
    values = {}
    try:
        with open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8") as cache:
            for line in cache:
                name, found, value = line.rstrip("\n").partition("=")
                if found:
                    values[name.partition(":")[0]] = value
    except OSError:
        return "unknown", "unknown"
    kind = values.get("CMAKE_BUILD_TYPE", "")
    flags = [kind, values.get("CMAKE_CXX_FLAGS", ""), values.get("CMAKE_CXX_FLAGS_" + kind.upper(), "")]
    said = output_of(values.get("CMAKE_CXX_COMPILER", "c++"), "--version")
    compiler = said.split("\n")[0]
    if "Free Software Foundation" in said:
        # It calls itself what it was called by.
        compiler = re.sub(r"^\S+", "g++", compiler)
    return compiler, " ".join(flag for flag in flags if flag)


def circumstances(build_folder, command):
    compiler, flags = build_settings(build_folder)
    return {
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(),
        "compiler": compiler, "flags": flags, "libc": "-".join(platform.libc_ver()),
        "commit": output_of("git", "rev-parse", "HEAD") or "unknown",
        "changed": bool(output_of("git", "status", "--porcelain", "--untracked-files=no")),
        "command": command, "load_before": os.getloadavg()[0],
    }
