// Worker 2 of the Unreal Engine set-up: start it on its own machine with ./worker.py ue/worker-2.js
// It is reached through ssh (../samples/connect-w1), as WORKERS in config.py says. All keys: ../samples/worker.js
{
    // Each worker has its own port, since all of them are forwarded to the client's localhost.
    "host": "localhost",
    "port": 7712,

    // A compile of a unity file takes 1.5 to 3 GB. Give the lesser of the cores and the memory in GB divided by 2.
    "numTasks": 8,

    // No file takes an hour; one that does hangs.
    "timeout": 3600,

    // One mark a job, in the colours in turn, instead of UnrealBuildTool's command lines of many pages.
    "icons": ["x"],
    "colors": ["light_green", "light_blue", "light_yellow", "light_magenta"]
}
