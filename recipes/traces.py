"""A teacher's reasoning traces: drawn, graded, filtered, with every loss counted.

    accelerate launch --config_file launch/accelerate/cpu.yaml recipes/traces.py \\
        --config recipes/configs/tiny/traces.yaml

All responses stay in ``generations.jsonl``; those that are kept for training are in
``traces.jsonl``. Running the same command again completes what is missing.
"""

from handan.errors import run_main
from handan.traces.make import main

if __name__ == "__main__":
    run_main(main)
