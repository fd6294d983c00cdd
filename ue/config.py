"""The client's settings for Unreal Engine: what is not said here is taken from the config.py above.

The client reads this file, and not the one above, because `ue/duon` makes links to ue/client.py, which is a link to
client.py in turn.
"""

BASE = "../config.py"

# One for each worker-*.js here, forwarded to this machine (see ../samples/connect-w1), then this machine itself.
WORKERS = ("localhost:7711", "localhost:7712", "local")

# What asks the compiler about itself: answered at once here, and only right for the compiler that is here.
PROBES = ("-v", "--version", "-dumpversion", "-dumpfullversion", "-dumpmachine", "-###", "-dM")
PROBE_STARTS = ("-print-", "--print-")

# A precompiled header is large, is read by nearly all that follows, and is needed before anything else can start.
HEADERS = (".gch", ".pch")

# UnrealBuildTool hands most of the arguments over in a response file, "@/path/to/file.rsp". Only files of these names
# are read, as the hook runs for every job: those of object files ("...cpp.o.rsp") say nothing that matters here.
PCH_FILES = (".gch.rsp", ".pch.rsp")


def shouldRunDirect(args):
    """Precompiled headers, probes and links (they have -lgcc, and read every object file there is) stay here."""
    before = ""
    for word in args[1:]:
        if word in PROBES or word.startswith(PROBE_STARTS) or word.startswith("-lgcc") or word == "-emit-pch":
            return True
        if word == "/dev/null" and before not in ("-o", "-MF"):
            return True
        if before == "-o" and word.endswith(HEADERS):
            return True
        if word.endswith("-header") and (before == "-x" or word.startswith("-x")):
            return True
        if word.startswith("@") and _is_local_response(word[1:].strip('"')):
            return True
        before = word
    return False


def _is_local_response(path):
    if path.endswith(PCH_FILES):
        return True
    if path.endswith(".o.rsp"):
        return False
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            words = source.read().replace('"', " ").split()
    except OSError:
        return False
    return "-emit-pch" in words or any(
        word.startswith("-lgcc") or (word.endswith("-header") and before == "-x")
        for before, word in zip(["", *words], words, strict=False)
    )
