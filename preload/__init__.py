"""Downloads models from the Hugging Face hub to a shared volume and says when they are whole.

A Kubernetes Job runs this package (`python -m preload`) as a program of its own; nothing else
imports it. It reads a plan from the environment (`plan`), and for each item of the plan makes true:

    <modelsDirectory>/<directory>/manifest.json   written last, by rename: the item is whole
    <modelsDirectory>/<directory>/weights         a directory with the files, or a relative
                                                  symbolic link to a directory that verified

`program` runs the items side by side, `weights` holds the steps of one in order, `transfer` how one
file comes, `attempts` one try at it, `digests` its hash, `crew` the connections and cores that all
share, `journal` and `extents` what has arrived, `progress` how far it is, `hub` what the hub
answers, `listing` what of it is believed, `retries` what is tried again and for how long,
`lease` how two programs on two nodes keep out of each other's way, `exits` how it ends.
`checkpoint` and `figures` say what was downloaded. `documents` and `redirects` are the boundary:
what others wrote, and where the hub may send a request on to.
"""

__version__ = "1.1.0"
