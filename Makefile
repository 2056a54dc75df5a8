# Every target does its own set-up: on a machine with nothing but make and git, `make demo` works.

PREFIX ?= /usr/local
SECONDS ?= 60

.PHONY: help pyro demo test smoke-daily-loop hostile hostile-mutants crash fuzz check bench deb deb-test wheel install install-kernel clean

help:
	@echo 'make demo     build pyro and a real environment, pull it from a real registry, boot it'
	@echo 'make test     build everything and run all tests'
	@echo 'make smoke-daily-loop  prepare, run, replace, prepare again, with a real guest'
	@echo 'make hostile  run the catalogue of faults, and print what became of each'
	@echo 'make hostile-mutants  take guards away one by one: each must turn a row red'
	@echo 'make crash    end pyro, and cut the power, at every step of what changes the cache'
	@echo 'make check    formatting, lint, layering and packages; the tests under the sanitizers'
	@echo 'make fuzz     hostile input of every kind: each of the fuzzers for SECONDS=$(SECONDS)'
	@echo 'make bench    measure pyro beside its peers'
	@echo 'make pyro     build the executable: build/release/pyro'
	@echo 'make deb      make the Debian packages pyro, libpyro-dev and pyro-kernel'
	@echo 'make deb-test install, use and remove them on a Debian that has nothing else'
	@echo 'make wheel    make a Python wheel with the library and the executable in it'
	@echo 'make install  install the executable and the library below PREFIX=$(PREFIX)'
	@echo 'make install-kernel  install the kernel that boots container images there'

pyro:
	@tools/install-deps build
	@tools/build release -DBUILD_TESTING=OFF

demo: pyro
	@tools/install-deps demo
	@tools/demo build/release/pyro

test:
	@tools/install-deps test
	@tools/build release -DBUILD_TESTING=ON
	@tools/build-test-environment
	@tools/test

smoke-daily-loop: pyro
	@tools/install-deps test
	@tools/build-test-environment
	@tools/smoke-daily-loop build/release/pyro

hostile:
	@tools/install-deps test
	@tools/build release -DBUILD_TESTING=ON
	@tools/build-test-environment
	@tests/hostile/run

hostile-mutants:
	@tools/install-deps test
	@tools/build release -DBUILD_TESTING=ON
	@tools/build-test-environment
	@tests/hostile/mutants/run

crash:
	@tools/install-deps test
	@tools/build release -DBUILD_TESTING=ON
	@tools/build-test-environment
	@tools/crash

check:
	@tools/install-deps check test deb
	@tools/build-test-environment
	@tools/check

fuzz:
	@tools/install-deps fuzz
	@tools/build fuzz
	@tools/fuzz $(SECONDS)

bench: pyro
	@tools/install-deps bench
	@bench/run

deb:
	@tools/install-deps deb
	@tools/deb

deb-test: deb
	@tests/package/deb_test || [ $$? -eq 77 ]

wheel: pyro
	@tools/wheel

install: pyro
	@cmake --install build/release --prefix $(PREFIX)

install-kernel:
	@tools/install-deps kernel
	@tools/build-kernel
	@install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/pyro/kernel build/kernel/vmlinux build/kernel/initrd.img

clean:
	@rm -rf build/release build/plain build/asan build/tsan build/fuzz build/mutants build/deb build/wheel
