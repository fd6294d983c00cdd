// One worker: copy this file, one for each worker, change what differs, and start it with ./worker.py worker1.js
//
// It is JSON, in which comments like this one, and a comma after the last entry, are allowed. Every key may be left out
// and then has the value shown here; null says the same as leaving it out. Numbers may be written as texts: "7711".
// A wrong value or an unknown key stops the worker with a line that tells where it is. SIGHUP makes a running worker
// read its file again.
{
    /* ------------------------------------------------------------------------------------------ where it listens */

    // The name or address of this machine at which the worker can be reached, and the port (1-65535; 0 takes a free
    // one). Change the port when several workers are forwarded to one machine. A worker asks nobody who they are: with
    // a host other than localhost anyone who reaches the port runs any command here, so it has to be confirmed by
    // "insecure" below. Forward the port with ssh instead: see samples/connect-w1.
    "host": "localhost",
    "port": 7711,

    // The absolute path of a UNIX socket to listen at, instead of host and port (leave those two out then). Only
    // those who may enter its folder reach it. null: listen at host and port.
    "unix": null,

    // true: listen at a host that is not this machine alone. Only in a network in which you trust every machine.
    "insecure": false,

    /* ----------------------------------------------------------------------------------------- how much it takes */

    // How many jobs run at the same time (1-4096); more of them wait for their turn. null: as many as there are cores.
    // Lower it when the jobs need more memory than the machine has, or when somebody works at it.
    "numTasks": null,

    // Seconds after which a job is killed, with all that it started, and ends with status 104; 0: never.
    // Set it when jobs may hang.
    "timeout": 0,

    // Seconds for which output is gathered before it is sent (0-60), so that many short lines travel together. The end
    // of a job is never delayed by it. Raise it on slow lines for fewer packets; 0 sends at once.
    "timeoutRead": 0.005,

    // Bytes of output that are read and sent at one go at most (1-16777216). Lower it where memory is scarce.
    "readSize": 262144,

    /* ---------------------------------------------------------------------------------- what is different here */

    // Programs that have another path on this machine, each by its path or its name:
    // { "clang": "/opt/llvm/bin/clang" }. Default: none.
    "remapCmds": {},

    // Folders that have another path on this machine; paths within them are translated in the arguments and the
    // working folder: { "/home/me/workspace": "/mnt/workspace" }. Default: none. Files that hold paths themselves
    // (debug information, dependency files) then show this machine's, so mounting at the same path is better.
    "remapDirs": {},

    /* -------------------------------------------------------------------------------------------- its console */

    // Colours of the text and behind it: a name, or a list of names that the jobs take in turn:
    // ["red", "light_blue"]. The names: black, red, green, yellow, blue, magenta, cyan, light_gray, dark_gray,
    // light_red, light_green, light_yellow, light_blue, light_magenta, light_cyan, white. "": the terminal's own.
    "colors": "",
    "colorsBg": "",

    // What is shown for a job: a text such as "*", or a list of texts that the jobs take in turn: ["o", "x"].
    // "": a line with the job's command.
    "icons": "",

    // true: tell about every job in detail.
    "debug": false,
}
