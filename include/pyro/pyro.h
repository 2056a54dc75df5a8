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
 * document, only NULL is returned. On success `*error` is left alone.
 *
 * A NULL that is not allowed is a "usage" failure. The library prints nothing and installs no
 * signal handler.
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

/* Opens a store. Reads and writes nothing in the cache.
 *
 * `variables`: "NAME=value" strings, NULL at the end, as in environ(7): the variables that the
 * executable reads from its environment, for the cache, catalog files, the runtime bundle,
 * credentials, proxies, certificates. NULL: none.
 *
 * `options`: an object, or NULL for none. They take precedence over the variables. Durations are
 * numbers of seconds from 0 to 1e9, fractions allowed; sizes are whole numbers of bytes below 2^63.
 * A field that is unknown, of the wrong type or out of bounds is a "usage" failure:
 *
 *   cache_dir                       required where no variable names the cache
 *   stores                          [directory], searched after the cache and only read; before
 *                                   those of the variables. Only the executable adds the host's,
 *                                   /usr/share/pyro/environments
 *   catalogs                        [file], overriding those of the variables
 *   runtime_dir                     a runtime bundle
 *   extractor                       the pyro executable that unpacks downloads; by default the one
 *                                   that was installed with this library
 *   lock_timeout                    the longest wait for another process's pull of the same
 *                                   environment; no limit by default
 *   rootfs_bytes                    the largest rootfs.ext4 that is accepted
 *   offline                         true: no connection is opened
 *   retries, retry_delay            of requests after transient failures: 0 to 1000, and a duration
 *   keep_after                      the duration from which on an interrupted transfer is kept
 *   credential_files, helper_directories, registries_files, certificate_directories,
 *   trusted_realms                  lists of strings
 *   https_proxy, http_proxy, all_proxy, no_proxy, ca_file, ca_directory
 *
 * (NetworkOptions in pyro/network_options.h describes these.)
 * Fails with: usage, failed (a bad catalog), filesystem. */
PYRO_API pyro_store* pyro_store_open(const char* options, char* const* variables, char** error);

/* Releases a store, which must not be used any more. NULL is allowed. */
PYRO_API void pyro_store_close(pyro_store* store);

/* The settings of the store:
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

/* One long operation: its progress callback, and a way to stop it. */
typedef struct pyro_operation pyro_operation;

/* `event` is a document of `pyro env pull --progress json`, and released when the function returns.
 * Calls come from the thread that called the store, and must return quickly: the network waits for
 * them. Nothing may be thrown, and no longjmp() may leave it. */
typedef void (*pyro_progress)(void* context, const char* event);

/* `progress` may be NULL; `context` is passed on to it. May serve one call of the store after the
 * other, not several at a time. NULL when there is no memory. */
PYRO_API pyro_operation* pyro_operation_new(pyro_progress progress, void* context);

/* Requests a stop of the call that uses this operation, and of all later ones: they fail with
 * "interrupted" and leave the cache unchanged. Returns at once. May be called from any thread, also
 * in `progress`, but not from a signal handler. NULL is allowed. */
PYRO_API void pyro_operation_stop(pyro_operation* operation);

/* Releases an operation, which must not be used any more. NULL is allowed. */
PYRO_API void pyro_operation_free(pyro_operation* operation);

/* In each of the following `operation` may be NULL. */

/* Installs an environment if needed. An existing install costs neither network nor lock nor write.
 *
 *   {"name", "version", "install_dir", "kernel_image", "rootfs_image", "initrd_image" (or null),
 *    "source", "source_digest" (or null)}
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_ensure_installed(const pyro_store* store, const char* name,
                                           pyro_operation* operation, char** error);

/* `pyro env pull NAME --json`. `options`: an object, or NULL for none:
 *
 *   mode       "ensure", the default: keep an install that exists; "repair": replace one whose
 *              artifacts have changed; "force": replace any
 *
 * Fails with: any code. */
PYRO_API char* pyro_store_pull(const pyro_store* store, const char* name, const char* options,
                               pyro_operation* operation, char** error);

/* One element of `pyro env verify --json`. Modified artifacts or a missing install are not
 * failures; "status" reports them. Fails with: not_found (in the catalog),
 * filesystem, interrupted, failed. */
PYRO_API char* pyro_store_verify(const pyro_store* store, const char* name,
                                 pyro_operation* operation, char** error);

/* `pyro env prune --json`: removes what is of no use any more. `options`: an object, or NULL for
 * none:
 *
 *   dry_run        true: only report what would be removed
 *   unknown        true: also installs whose record names a catalog file that is not loaded
 *   all            true: also all valid installs that are not in use
 *   older_than     also valid installs that were last used before so many seconds: installed, or
 *                  booted by pyro (a machine of another program leaves no trace)
 *   keep_storage   also valid installs, least recently used first, until the others take no more
 *                  bytes
 *
 * The document names what could not be removed. Fails with: filesystem, usage, failed. */
PYRO_API char* pyro_store_prune(const pyro_store* store, const char* options, char** error);

#ifdef __cplusplus
}
#endif

#endif
