#!/usr/bin/env python3
"""Writes sample.txt, the default INPUT of `make run`: the log of an invented library's lending
service, 12,000 lines, the same bytes at every run. It has what real text has and a log of records
must not mind: blank lines, names and titles outside of ASCII, tabs, quotes, spaces at the end of a
line, lines that look like options or like numbers, equal lines, and one very long line."""

import os
import random

LINES = 12000

PEOPLE = ["Ada Łukasiewicz", "Bjørn Åsen", "Chloé Dubois", "Dmitri Ivanov", "Élodie Noël",
          "Fatima al-Zahra", "Günther Groß", "Hye-jin Park", "İpek Yılmaz", "José Núñez",
          "Kenji Watanabe", "Leilani Kealoha", "Márta Szűcs", "Nguyễn Thị Hoa", "Ólafur Jónsson",
          "Παναγιώτης", "Rosa O'Brien", "Сергей Петров", "Tomáš Dvořák", "王小明", "山田花子"]
TITLES = ["The Part-Time Parliament", "Les Misérables", "Пикник на обочине", "百年の孤独",
          "Das Schloß", "Don Quijote de la Mancha", "Kalevala", "西遊記", "Gösta Berlings saga",
          "Ficciones", "Ο Ζορμπάς", "Solaris", "Bröderna Lejonhjärta", "الأيام", "A \"quoted\" title"]
BRANCHES = ["north", "harbour", "old-town", "campus", "île-verte"]


def stamp(seconds):
    days, rest = divmod(seconds, 86400)
    return (f"2026-03-{1 + days:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}."
            f"{seconds * 7919 % 1000:03d}Z")


def entry(dice, number):
    person, title = dice.choice(PEOPLE), dice.choice(TITLES)
    branch, copy = dice.choice(BRANCHES), dice.randrange(10000, 99999)
    kind = dice.randrange(100)
    if kind < 35:
        return f'lent copy={copy} title="{title}" to="{person}" branch={branch} days=28'
    if kind < 65:
        late = dice.choice(["no", "no", "no", f"{dice.randrange(1, 30)} days"])
        return f'returned copy={copy} title="{title}" branch={branch} late={late}'
    if kind < 80:
        return (f"http method=GET path=/search?q={title.split()[0]} status=200 "
                f"ms={dice.randrange(2, 180)} agent=\"kiosk/{dice.randrange(1, 9)}\"")
    if kind < 88:
        return f"reserved\tcopy={copy}\tfor={person}\tplace={dice.randrange(1, 12)}"
    if kind < 93:
        return f"warning branch={branch} gate=unreachable retry={number % 5}   "
    if kind < 96:
        return f'fine person="{person}" amount={dice.randrange(1, 900) / 100:.2f} € paid=yes'
    return f"moved copy={copy} {branch} -> {dice.choice(BRANCHES)} → ok ✓"


def lines():
    dice = random.Random(20260301)
    seconds = 8 * 3600
    for number in range(LINES):
        seconds += dice.randrange(0, 40)
        if number % 97 == 50:
            yield ""
        elif number % 1009 == 500:
            yield "--- heartbeat ---"
        elif number % 2003 == 1000:
            yield str(number)
        elif number == 7000:
            yield "inventory " + " ".join(str(dice.randrange(10000, 99999)) for _ in range(3000))
        else:
            yield f"{stamp(seconds)} {entry(dice, number)}"


if __name__ == "__main__":
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.txt")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(line + "\n" for line in lines()))
