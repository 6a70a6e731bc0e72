/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbdkit-gow.c - `nbdkit gow IMAGE` serves the guest's disk of a GOW image over NBD.
 *
 * One run of nbdkit is one session: the image is opened, with its lock and lease, before nbdkit
 * goes into the background, and closed in an orderly way when nbdkit ends. All connections share
 * it. Reads go on side by side; whatever changes the image has it alone.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "arguments.h"
#include "session.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum {
	/* nbdkit 1.32 aborts on one extent of 4 GiB or more, so none is longer than its request. */
	EXTENTS_MOST = 1024,
	REQUEST_BEST = 1 << 20,
	REQUEST_MOST = 32 << 20
};

/* ---- configuration ------------------------------------------------------------------------ */

static int set_path(const char *value)
{
	if (gow.path) {
		nbdkit_error("one image is served, and %s was named already", gow.shown);
		return -1;
	}
	gow.path = gow_name_is_uri(value) ? strdup(value) : nbdkit_absolute_path(value);
	gow.shown = gow.path ? gow_shown_name(gow.path) : NULL;
	if (!gow.shown)
		return -1;
	session_clean(gow.shown);
	return 0;
}

static int plugin_config(const char *key, const char *value)
{
	if (!strcmp(key, "file"))
		return set_path(value);
	if (!strcmp(key, "layout")) {
		free(gow.layout);
		gow.layout = strdup(value);
		return gow.layout ? 0 : -1;
	}
	if (!strcmp(key, "read-only")) {
		const int yes = nbdkit_parse_bool(value);

		gow.read_only = yes == 1;
		return yes < 0 ? -1 : 0;
	}
	nbdkit_error("unknown parameter '%s': see nbdkit-gow-plugin(1)", key);
	return -1;
}

static int plugin_config_complete(void)
{
	if (gow.path)
		return 0;
	nbdkit_error("name the image: nbdkit gow [file=]IMAGE");
	return -1;
}

/* ---- the run ------------------------------------------------------------------------------ */

static int plugin_get_ready(void)
{
	if (started_read_only() || gow_name_is_uri(gow.path))
		gow.read_only = true;
	/* Beyond a limit of the file's size (ulimit -f) a client gets an error, as from a full disk. */
	if (!gow.read_only)
		(void)signal(SIGXFSZ, SIG_IGN);
	return session_open();
}

static void plugin_unload(void)
{
	session_close();
	free(gow.path);
	free(gow.shown);
	free(gow.layout);
}

/* ---- connections -------------------------------------------------------------------------- */

static void *plugin_open(int readonly)
{
	bool given_up;

	(void)readonly;
	(void)pthread_rwlock_rdlock(&gow.lock);
	given_up = gow.given_up;
	(void)pthread_rwlock_unlock(&gow.lock);
	if (!given_up)
		return NBDKIT_HANDLE_NOT_NEEDED;
	nbdkit_error("%s: the image was left to another process", gow.shown);
	return NULL;
}

static int64_t plugin_get_size(void *handle)
{
	int64_t size;

	(void)handle;
	(void)pthread_rwlock_rdlock(&gow.lock);
	size = gow.image ? (int64_t)gow_image_size(gow.image) : -1;
	(void)pthread_rwlock_unlock(&gow.lock);
	return size;
}

static int plugin_can_write(void *handle)
{
	(void)handle;
	return !gow.read_only;
}

/* All connections share one image: what one flushed the others see. */
static int plugin_yes(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static int plugin_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_EMULATE;
}

static int plugin_block_size(void *handle, uint32_t *least, uint32_t *best, uint32_t *most)
{
	(void)handle;
	*least = 1;
	*best = GOW_BLOCK_SIZE;
	*most = REQUEST_MOST;
	return 0;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Takes the image to change or to read it; -1 where it is gone. Ends with leave(). */
static int enter(bool change)
{
	(void)(change ? pthread_rwlock_wrlock : pthread_rwlock_rdlock)(&gow.lock);
	if (gow.image)
		return 0;
	(void)pthread_rwlock_unlock(&gow.lock);
	nbdkit_error("%s: the image was left to another process", gow.shown);
	nbdkit_set_error(ESHUTDOWN);
	return -1;
}

static int leave(int code, const gow_error *error)
{
	(void)pthread_rwlock_unlock(&gow.lock);
	return code ? complain(error) : 0;
}

/* Ends a change: with FUA it is durable before it is answered. */
static int leave_change(int code, uint32_t flags, gow_error *error)
{
	if (!code && (flags & NBDKIT_FLAG_FUA))
		code = gow_image_flush(gow.image, error);
	return leave(code, error);
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	gow_error error;

	(void)handle;
	(void)flags;
	if (enter(false))
		return -1;
	return leave(gow_image_read(gow.image, offset, buf, count, &error), &error);
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset,
                         uint32_t flags)
{
	gow_error error;

	(void)handle;
	if (enter(true))
		return -1;
	return leave_change(gow_image_write(gow.image, offset, buf, count, &error), flags, &error);
}

static int plugin_flush(void *handle, uint32_t flags)
{
	gow_error error;

	(void)handle;
	(void)flags;
	if (enter(true))
		return -1;
	return leave(gow_image_flush(gow.image, &error), &error);
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	gow_error error;

	(void)handle;
	if (enter(true))
		return -1;
	return leave_change(gow_image_discard(gow.image, offset, count, &error), flags, &error);
}

/* Unmapping whole blocks is how a GOW image holds zeros, so zeros are always fast, and a client
 * that wants them allocated gets what the format has. */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	gow_error error;

	(void)handle;
	if (enter(true))
		return -1;
	return leave_change(gow_image_zero(gow.image, offset, count, &error), flags, &error);
}

struct extents {
	struct nbdkit_extents *list;
	unsigned count;
};

/* What ends the walk when the list has enough: no gow_code. */
enum { FULL = -1 };

static int on_extent(void *context, const gow_guest_extent *extent)
{
	struct extents *extents = context;
	const uint32_t type = (extent->allocated ? 0 : NBDKIT_EXTENT_HOLE) |
	                      (extent->data ? 0 : NBDKIT_EXTENT_ZERO);

	if (extents->count++ >= EXTENTS_MOST)
		return FULL;
	return nbdkit_add_extent(extents->list, extent->offset, extent->size, type) ? FULL : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                          struct nbdkit_extents *list)
{
	struct extents extents = { .list = list };
	gow_error error;
	int code;

	(void)handle;
	(void)flags;
	if (enter(false))
		return -1;
	code = gow_image_each_extent(gow.image, offset, count, on_extent, &extents, &error);
	if (code == FULL)
		code = 0;
	return leave(code, &error);
}

static struct nbdkit_plugin plugin = {
	.name = "gow",
	.longname = "gow-tools plugin for nbdkit",
	.version = GOW_VERSION,
	.description = "serves the guest's disk of a GOW image",
	.magic_config_key = "file",
	.config_help = "[file=]IMAGE      (required) the GOW image\n"
		       "layout=FILE|NAME  where everything stands in it (gow-layout(5))\n"
		       "read-only=true    take the reader's lock only",
	.unload = plugin_unload,
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.get_ready = plugin_get_ready,
	.after_fork = session_watch,
	.cleanup = session_close,
	.open = plugin_open,
	.get_size = plugin_get_size,
	.block_size = plugin_block_size,
	.can_write = plugin_can_write,
	.can_flush = plugin_yes,
	.can_trim = plugin_yes,
	.can_zero = plugin_yes,
	.can_fast_zero = plugin_yes,
	.can_extents = plugin_yes,
	.can_multi_conn = plugin_yes,
	.can_fua = plugin_can_fua,
	.can_cache = plugin_can_cache,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.trim = plugin_trim,
	.zero = plugin_zero,
	.extents = plugin_extents,
	.errno_is_preserved = 0,
};

/* nbdkit's header defines it without a declaration. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
