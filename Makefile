# Thin calls; `make help` lists them. GNU make 3.81.
SHELL := /bin/bash
FILE ?= samples/council-meeting.mp4
SEED ?= 1
# Taken as text: make would otherwise expand a `$` in a file's name, and run a `$(shell …)` in it.
override FILE := $(value FILE)
override NAME := $(value NAME)
override SEED := $(value SEED)
override ARGS := $(value ARGS)
export FILE NAME SEED ARGS JOB
export CLIPSCRIBE_HOME ?= ./.clipscribe
NODE := ./.tools/bin/node
CLI := ./bin/clipscribe
# A leading ~ that the shell did not expand, because it came after `FILE=`.
EXPAND := f="$$FILE"; case $$f in "~/"*) f="$$HOME/$${f:2}" ;; esac

.PHONY: help install build run up sync plan validate doctor tour new-stage schema test test-readers test-download check lint format \
  test-cloud emulator campaign-night campaign-notify campaign-push campaign-drops bench-watch bench-noop bench-stage bench-start campaign-kill campaign-mutants campaign-large campaign-paid bench-upload bench-small bench-resume bench-fetch bench-evidence bench-report bench-estimate bench-cost bench-batch bench-recovery bench-latency bench-throughput approve clean

help:
	@echo "make run [FILE=path]     process a file, a folder or a list of URLs; default: the sample"
	@echo "make sync                watch the inbox of CLIPSCRIBE_HOME: drop files, find results"
	@echo "make plan [FILE=path]    what would run, what would be reused, why"
	@echo "make approve JOB=id      let what is held for money go on, and pay for it"
	@echo "make test                all tests that need Node and ffmpeg only"
	@echo "make check               format, lint, import directions, types, tests"
	@echo "make tour                a first stage of your own, step by step"
	@echo "make new-stage NAME=x    a stage from the template, with its test"
	@echo "make validate · doctor · format · clean · test-readers · test-download"
	@echo "make bench-noop · bench-stage · bench-start · campaign-kill SEED=n · campaign-drops SEED=n · campaign-mutants · campaign-large · campaign-paid"
	@echo "make bench-evidence [DIR=sets] · bench-report · bench-estimate · bench-cost · bench-batch · bench-recovery · bench-latency · bench-throughput · campaign-night SEED=n · campaign-notify SEED=n · campaign-push SEED=n"
	@echo "make bench-upload [RCLONE_CURRENT=program] · bench-small · bench-resume · bench-fetch"

install:
	@./scripts/bootstrap
	@[ -f dist/stamp ] || $(NODE) scripts/build.ts

build: install
	@$(NODE) scripts/build.ts

run: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?'
	@$(EXPAND); case $$f in *.txt|*.urls|*.csv|*.url|*.webloc) ./scripts/install-tools yt-dlp ;; esac; $(CLI) run $$ARGS -- "$$f"

plan: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?'
	@$(EXPAND); $(CLI) plan $$ARGS -- "$$f"

approve: install
	@$(CLI) approve $$ARGS -- "$$JOB"

up sync: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?' 'yt-dlp?'
	@$(CLI) up $$ARGS

validate: install
	@$(CLI) validate

doctor: install
	@$(CLI) doctor

emulator: install
	@$(CLI) emulator $$ARGS

tour: install
	@$(CLI) tour

new-stage: install
	@$(CLI) new-stage "$$NAME"

schema: install
	@mkdir -p docs/schemas; $(CLI) schema > templates/pipeline.schema.json
	@for name in core transcript knowledge_graph clips manifest; do $(CLI) schema $$name > docs/schemas/$$name.schema.json; done

test: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?'
	@$(NODE) scripts/test.ts

test-readers: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?' chromium soffice openssl
	@$(NODE) scripts/test.ts readers

test-cloud: install
	@./scripts/install-tools ffmpeg ffprobe rclone
	@./scripts/install-miniflare
	@$(NODE) scripts/test.ts cloud

test-download: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?' yt-dlp
	@$(NODE) scripts/test.ts download

lint: install
	@$(NODE) node_modules/oxfmt/bin/oxfmt --check core ports adapters runner sync stages bin emulator scripts samples bench stand-ins
	@PATH="$$PWD/.tools/bin:$$PATH" $(NODE) node_modules/oxlint/bin/oxlint --type-aware --deny-warnings core ports adapters runner sync stages bin emulator scripts bench stand-ins
	@$(NODE) scripts/check-imports.ts
	@$(NODE) scripts/check-repo.ts
	@$(NODE) node_modules/typescript/bin/tsc --noEmit -p .

check: lint test

format: install
	@$(NODE) node_modules/oxfmt/bin/oxfmt core ports adapters runner sync stages bin emulator scripts samples bench stand-ins

bench-evidence: export DIR := $(value DIR)
bench-evidence: install
	@$(NODE) bench/bench-evidence.ts

bench-upload bench-small bench-resume bench-fetch: install
	@./scripts/install-tools rclone
	@$(NODE) bench/$@.ts

bench-latency bench-throughput: install
	@./scripts/install-tools redis-server psql
	@./scripts/install-peers
	@$(NODE) bench/$@.ts

bench-watch: install
	@./scripts/install-watchers
	@$(NODE) bench/bench-watch.ts

bench-report: install
	@./scripts/install-tools chromium
	@$(NODE) bench/bench-report.ts

bench-noop bench-stage bench-start bench-estimate bench-cost bench-batch bench-recovery campaign-night campaign-notify campaign-push campaign-drops campaign-kill campaign-mutants campaign-large campaign-paid: install
	@./scripts/install-tools ffmpeg ffprobe 'bwrap?'
	@if [ $@ = bench-noop ]; then ./scripts/install-tools ninja make snakemake; fi
	@$(NODE) bench/$@.ts

clean:
	@rm -rf dist .clipscribe
