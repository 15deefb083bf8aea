# Two commands do everything: `make run` and `make test`. Each sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export DO_NOT_TRACK := 1
# The environment's bytecode is written once, at installation; without it every start costs seconds more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test spark soak lint ui bench bench-scale clean

help: ## 列出命令 / list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(READY) ## 建立虚拟环境 / create the environment

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	touch $@

run: $(READY) ## 模拟缺失的演示数据,运行各监测期并发布 / simulate what is missing, run every wave, publish
	$(BIN)/hotline simulate
	$(BIN)/hotline run

test: $(READY) lint ## 静态检查与全部测试 / static checks and every test
	$(BIN)/pytest --numprocesses auto --dist worksteal

spark: .spark/.ready ## 安装 Spark 供测试使用,约 450 MB,需 Java 17 / install Spark for the tests: 450 MB, needs Java 17

.spark/.ready: deploy/spark.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-build-isolation \
	  --upgrade --target .spark --requirement deploy/spark.txt
	touch $@

soak: $(READY) ## 逐点崩溃试验,约两小时 / kill runs at every moment, fill every disk: about two hours
	$(BIN)/pytest -m soak

lint: $(READY) ## ruff, mypy, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 0 dbt/models
	$(BIN)/sqlfluff lint --config expectations/sqlfluff.cfg expectations

ui: $(READY) ## Dagster 界面,仅本机 / the Dagster UI, on loopback
	$(BIN)/hotline ui

bench: $(READY) ## 计时并与两份脚本比较 / time it against two scripts of the same scoring
	$(BIN)/python -m benchmarks.bench

bench-scale: $(READY) ## 二万至一亿条观测的各步骤,数小时;SIZES=20000,1000000 可选 / every stage at 20 thousand to 100 million observations: hours
	$(BIN)/python -m benchmarks.bench_scale $(if $(SIZES),--sizes $(SIZES)) $(if $(REPEAT),--repeat $(REPEAT)) $(if $(SCRATCH),--scratch $(SCRATCH))

clean: ## 删除计算结果,保留原始数据、发布、报告、日志与环境 / remove what is derived; raw data, releases, reports, log, environment stay
	[ ! -d data ] || find data -mindepth 1 -maxdepth 1 ! -name releases ! -name reports ! -name "log.*" -exec rm -rf {} +
