"""The C library through python3-libvirt, as the rival: reads one command a line, answers with one number a line."""

import sys
import threading
import time

import libvirt

connection = libvirt.open(sys.argv[1])
domain = connection.listAllDomains()[0]


def microseconds_per_call(count):
    laps = []
    for _ in range(count):
        begin = time.perf_counter()
        domain.info()
        laps.append(time.perf_counter() - begin)
    return sorted(laps)[len(laps) // 2] * 1e6


def calls_per_second(count, threads):
    def work():
        for _ in range(count // threads):
            domain.info()

    if threads == 1:
        begin = time.perf_counter()
        work()
        return count / (time.perf_counter() - begin)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return count // threads * threads / (time.perf_counter() - begin)


def stats_milliseconds():
    begin = time.perf_counter()
    connection.getAllDomainStats()
    return (time.perf_counter() - begin) * 1e3


COMMANDS = {
    "call": lambda count: microseconds_per_call(int(count)),
    "rate": lambda count, threads: calls_per_second(int(count), int(threads)),
    "stats": stats_milliseconds,
}

print("ready", flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    print(COMMANDS[name](*arguments), flush=True)
