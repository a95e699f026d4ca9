from tools.backtest.looks import *
from tools.backtest.looks import WEEKLY, FIVE_HOURLY
from tools.backtest.methods import *
from tools.backtest.scores import *
from tools.backtest.users import *
import json, sys, time
def main():
    t=time.time()
    for seed in (1,):
        out=[o for tr in week_users(seed) for o in looks(tr, WEEK, WEEKLY, WEEK_NAIVE)]
        for n in ("ours",*WEEK_NAIVE): print(n, figures(out,n))
        print(coverage(out), width_hours(out), mean([o.milliseconds for o in out]), max(o.milliseconds for o in out), len({o.group for o in out}), time.time()-t)
    out=[o for tr in five_hour_users(seed,12) for o in looks(tr, FIVE_HOURS, FIVE_HOURLY, FIVE_HOURS_NAIVE)]
    for n in ("ours",*FIVE_HOURS_NAIVE): print(n, figures(out,n))
    print(coverage(out), width_hours(out), mean([o.milliseconds for o in out]), max(o.milliseconds for o in out), len({o.group for o in out}), time.time()-t)
