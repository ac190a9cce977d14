"""What happens with malformed input, damaged files, kills, full disks and several processes at once.

    python -m benchmarks.faults [--parts inputs kills ...] [--quick] [--count N] [--seconds S] [--seed 0]

Each trial is drawn from the seed. It ends in one of four ways:

    refused     one sentence below 2,000 characters (`FewshotError`, or exit status 2), and nothing lost
    same        the content, or the result, is that of an undisturbed run
    read        an input is taken as valid
    fault       anything else: another exception, other content in silence, a file that is lost or half written,
                a control character on the terminal

Where new code joins:

    it writes files             a `Job`, named in `jobs.py`: kills, full disks, read-only folders, several at once
    it reads files back         a `Format` in `formats.py`: truncation and flipped bits
    it saves a model            a line in `models.py`: saved, loaded by a fresh process, equal logits
    it takes input of users     a part of its own, in `parts.py`
"""
