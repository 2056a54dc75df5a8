/* The C API of pyro, for C and for bindings: the store of environments, JSON in and JSON out.
 *
 * The documents are those that the executable prints with --json, so their fields are a stable
 * contract already, and new ones change no symbol here. Machines are run by the executable
 * (`pyro run --json`). In C++ use pyro/environment_store.h, which needs no JSON.
 *
 * A document is one line of UTF-8, with its newline and a zero byte behind it. What a function
 * returns as `char*` is the caller's, to be released with pyro_free(). A function that fails
 * returns NULL and, where `error` is not NULL, stores a document there that is the caller's, too:
 *
 *   {"code": "network", "message": "...", "hint": "..." or null}
 *
 * The codes are: usage, not_found, network, integrity, filesystem, busy, interrupted, failed
 * (pyro/error.h says when). No text holds secrets; text may hold bytes that came from a server, so
 * escape control characters before showing it. Without `error`, or when there is no memory for the
 * document, NULL is all there is. On success `*error` is left alone.
 *
 * A NULL that is not allowed is a "usage" failure, nothing worse. Nothing is printed, and no signal
 * handler is installed.
 */
#ifndef PYRO_PYRO_H
#define PYRO_PYRO_H

#if defined(__GNUC__)
#define PYRO_API __attribute__((visibility("default")))
#else
#define PYRO_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0". Static. */
PYRO_API const char* pyro_version(void);

/* Releases a document. NULL is allowed. */
PYRO_API void pyro_free(char* document);

/* The store over one cache directory. It never changes once it is open, so any number of threads
 * may use one, and any number of stores and processes one cache. */
typedef struct pyro_store pyro_store;

/* Opens a store; nothing in the cache is read or written before another function is called.
 *
 * `variables`: "NAME=value" each, NULL at the end, as of environ(7). What the executable takes from
 * its environment is taken from there: where the cache is, catalog files, the runtime bundle,
 * credentials, proxies, certificates. NULL: from nowhere.
 *
 * `options`: an object, or NULL for none. They count more than the variables. Durations are numbers
 * of seconds from 0 to 1e9, with a fraction where wanted, sizes whole numbers of bytes below 2^63;
 * a field that is unknown, of the wrong type or out of bounds is a "usage" failure:
 *
 *   cache_dir                       needed where no variable says where the cache is
 *   stores                          [directory], looked into after the cache and only read, before
 *                                   those of the variables; the executable alone adds the host's,
 *                                   /usr/share/pyro/environments
 *   catalogs                        [file], laid over those of the variables
 *   runtime_dir                     a runtime bundle
 *   extractor                       the pyro executable that unpacks what arrives; the one that was
 *                                   installed with this library unless given
 *   lock_timeout                    how long to wait for another process's pull of the same
 *                                   environment; as long as it takes unless given
 *   rootfs_bytes                    the largest rootfs.ext4 that is accepted
 *   offline                         true: no host is asked for anything
 *   retries, retry_delay            of requests whose failure may pass: 0 to 1000, and a duration
 *   keep_after                      from when on a transfer is kept should it break off
 *   credential_files, helper_directories, registries_files, certificate_directories,
 *   trusted_realms                  lists of strings
 *   https_proxy, http_proxy, all_proxy, no_proxy, ca_file, ca_directory
 *
 * (pyro/environment_store.h, NetworkOptions, says more on these.)
 * Fails with: usage, failed (a bad catalog), filesystem. */
PYRO_API pyro_store* pyro_store_open(const char* options, char* const* variables, char** error);

/* Nobody may use the store any more. NULL is allowed. */
PYRO_API void pyro_store_close(pyro_store* store);

/* What the store works with:
 *
 *   {"cache_dir", "runtime_dir" (or null), "catalog_version", "catalog_files": [file],
 *    "environments": [entry]}
 *
 * An entry is one of the catalog's, with the fields of a catalog file; those without a value are
 * null. */
PYRO_API char* pyro_store_describe(const pyro_store* store, char** error);

/* `pyro env list --json`: every environment of the catalog, installed or not. No network. */
PYRO_API char* pyro_store_list(const pyro_store* store, char** error);

/* `pyro env inspect NAME --json`. No network. Fails with: not_found, filesystem, failed. */
PYRO_API char* pyro_store_inspect(const pyro_store* store, const char* name, char** error);

/* One long operation: who is told how it goes, and how it is asked to stop. */
typedef struct pyro_operation pyro_operation;

/* `event` is a document of `pyro env pull --progress json`, and released when the function returns.
 * Calls come from the thread that called the store, and must return quickly: the network waits for
 * them. Nothing may be thrown, and no longjmp() may leave it. */
typedef void (*pyro_progress)(void* context, const char* event);

/* `progress` may be NULL; `context` is passed on to it. May serve one call of the store after the
 * other, not several at a time. NULL when there is no memory. */
PYRO_API pyro_operation* pyro_operation_new(pyro_progress progress, void* context);

/* Asks the call that this operation was given to, and those it will be given to, to stop: it fails
 * with "interrupted", and leaves the cache as it was. Returns at once. May be called from any
 * thread, `progress` included, but not from a signal handler. NULL is allowed. */
PYRO_API void pyro_operation_stop(pyro_operation* operation);

/* Nobody may use the operation any more. NULL is allowed. */
PYRO_API void pyro_operation_free(pyro_operation* operation);

/* In each of the following `operation` may be NULL. */

/* Makes sure an environment is installed. Costs neither network nor lock nor write when it is.
 *
 *   {"name", "version", "install_dir", "kernel_image", "rootfs_image", "initrd_image" (or null),
 *    "source", "source_digest" (or null)}
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_ensure_installed(const pyro_store* store, const char* name,
                                           pyro_operation* operation, char** error);

/* `pyro env pull NAME --json`. `options`: an object, or NULL for none:
 *
 *   mode       "ensure", unless given: nothing to do when it is installed; "repair": replace it
 *              when its artifacts are not what was installed; "force": replace whatever is there
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_pull(const pyro_store* store, const char* name, const char* options,
                               pyro_operation* operation, char** error);

/* One element of `pyro env verify --json`. Artifacts that are not as they were installed, or no
 * install at all, are no failure: "status" says so. Fails with: not_found (in the catalog),
 * filesystem, interrupted, failed. */
PYRO_API char* pyro_store_verify(const pyro_store* store, const char* name,
                                 pyro_operation* operation, char** error);

/* `pyro env prune --json`: removes what no longer serves. `options`: an object, or NULL for none:
 *
 *   dry_run        true: only say what would go
 *   unknown        true: also installs whose record names a catalog file that is not loaded
 *   all            true: also good installs that are not in use: all of them,
 *   older_than     those that were last used before so many seconds: installed, or booted by pyro
 * (a machine of yours that has its files leaves no trace), keep_storage   and, least recently used
 * first, as many as it takes until the installs occupy no more bytes
 *
 * What could not be removed is in the document. Fails with: filesystem, usage, failed. */
PYRO_API char* pyro_store_prune(const pyro_store* store, const char* options, char** error);

#ifdef __cplusplus
}
#endif

#endif
