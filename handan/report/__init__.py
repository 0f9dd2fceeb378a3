"""One page from run directories: verdicts, confounds, plots and the traces behind them."""
