/*
 * The C ABI between millstream and its plugins, version 1.0. C11, also C++17.
 *
 * The contract, with thread classes and an order of calls, is docs/spec/plugin-abi.md. In short:
 *
 * - A plugin is a shared library with one exported constant, `millstream_plugin`.
 * - Each struct begins with its size and grows at the end only, except ms_str, ms_pair and ms_slice, which never change.
 *   What lies beyond the size that the other side gave is not there. A function that is missing is NULL.
 * - Text is UTF-8 with a length and without an end mark. Times are nanoseconds, MS_NONE for none.
 * - Whoever makes a buffer counts its references. Who is given one holds one reference.
 * - Nothing may unwind out of a function: no exception, no longjmp.
 *
 * Thread classes. [element]: never two at a time for one element, on changing threads. [any]: on any thread, at any time between
 * `create` and the return of `destroy`. [once]: on one thread before anything else.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef MILLSTREAM_PLUGIN_H
#define MILLSTREAM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MS_ABI_MAJOR 1u
#define MS_ABI_MINOR 0u
#define MS_MAGIC UINT64_C(0x314e49474c50534d)
#define MS_FACTORY_ID "millstream.elements/1"
#define MS_NONE INT64_MIN
#define MS_ALL_PADS UINT32_MAX
#define MS_MAX_SLICES 65536u

#if defined(_WIN32)
#define MS_EXPORT __declspec(dllexport)
#else
#define MS_EXPORT __attribute__((visibility("default")))
#endif

/* What a call gives back. */
enum {
    MS_OK = 0,
    MS_MORE = 1,         /* `resume` is wanted */
    MS_EMPTY = 2,        /* nothing is there */
    MS_ERROR = -1,       /* failed; what went wrong was told with `fail` */
    MS_PANIC = -2,       /* a mistake of the program that was caught */
    MS_CANCELLED = -3,   /* the element is to stop: nothing that is sent arrives any more */
    MS_INVALID = -4,     /* an argument is false */
    MS_UNSUPPORTED = -5  /* not known here */
};

/* Text: `len` bytes of UTF-8. Never changes. */
typedef struct ms_str {
    const char *ptr;
    uint64_t len;
} ms_str;

/* A name and its value. Never changes. */
typedef struct ms_pair {
    ms_str name;
    ms_str value;
} ms_pair;

/* A piece of a buffer's bytes. Never changes. */
typedef struct ms_slice {
    const uint8_t *data; /* NULL until `map`, for memory that has to be mapped */
    uint64_t len;
} ms_slice;

/* ---- Media --------------------------------------------------------------------------------------------------------- */

enum {
    MS_KEYFRAME = 1,
    MS_HEADER = 1 << 1,
    MS_DISCONT = 1 << 2,
    MS_CORRUPTED = 1 << 3,
    MS_DROPPABLE = 1 << 4
};

struct ms_buffer_vtable;

/* One unit of media. Fields may be written only by who has just got it from `edit`, `make_writable` or `buffer_new`. */
typedef struct ms_buffer {
    uint32_t size;
    uint32_t flags; /* MS_KEYFRAME ... */
    const struct ms_buffer_vtable *vtable;
    int64_t pts;
    int64_t dts;
    int64_t duration;
    int64_t offset;         /* byte offset in the source, or MS_NONE */
    const ms_slice *slices; /* the bytes in order */
    uint64_t slice_count;   /* at most MS_MAX_SLICES */
} ms_buffer;

/* What the maker of a buffer does for its holders. [any] */
typedef struct ms_buffer_vtable {
    uint32_t size;
    uint32_t reserved;
    void (*ref)(ms_buffer *buffer);
    void (*unref)(ms_buffer *buffer);
    int32_t (*map)(ms_buffer *buffer);                /* makes the bytes readable until the buffer is gone; NULL: they are */
    ms_buffer *(*edit)(ms_buffer *buffer);            /* takes a reference; gives one whose fields may be written, or NULL and leaves it */
    ms_buffer *(*make_writable)(ms_buffer *buffer);   /* as `edit`, and the bytes may be written too */
    void *(*native)(ms_buffer *buffer, ms_str kind);  /* what it is for who knows its maker, or NULL */
} ms_buffer_vtable;

/* Fixed caps: a handle of the host's. */
typedef struct ms_caps ms_caps;

/* ---- Events and requests ------------------------------------------------------------------------------------------- */

enum {
    MS_EVENT_STREAM_START = 1, /* name, language */
    MS_EVENT_CAPS = 2,         /* caps */
    MS_EVENT_SEGMENT = 3,      /* format, start, base, offset */
    MS_EVENT_GAP = 4,          /* start, duration */
    MS_EVENT_TAGS = 5,         /* pairs */
    MS_EVENT_CUSTOM = 6,       /* name, data */
    MS_EVENT_FLUSH = 7,        /* epoch */
    MS_EVENT_ABSENT = 8,
    MS_EVENT_EOS = 9
};

enum { MS_FORMAT_TIME = 0, MS_FORMAT_BYTES = 1 };

/* Flows downstream and is no buffer. Valid during the call. Kinds that an element does not know are passed on. */
typedef struct ms_event {
    uint32_t size;
    uint32_t kind;
    ms_str name;
    ms_str language;
    ms_caps *caps;
    uint32_t format;
    uint32_t reserved;
    int64_t start;
    int64_t base;
    uint64_t offset;
    int64_t duration;
    const ms_pair *pairs;
    uint64_t pair_count;
    const uint8_t *data;
    uint64_t data_len;
    uint64_t epoch;
} ms_event;

enum {
    MS_REQUEST_KEY_FRAME = 1,
    MS_REQUEST_BITRATE = 2, /* bitrate */
    MS_REQUEST_SEEK = 3,    /* format, to, epoch */
    MS_REQUEST_QUALITY = 4, /* lateness */
    MS_REQUEST_READ = 5     /* offset, len */
};

/* Flows upstream. Valid during the call. */
typedef struct ms_request {
    uint32_t size;
    uint32_t kind;
    uint64_t bitrate;
    uint32_t format;
    uint32_t len;
    int64_t to;
    uint64_t epoch;
    int64_t lateness;
    uint64_t offset;
} ms_request;

/* ---- Errors and messages ------------------------------------------------------------------------------------------- */

enum {
    MS_ERROR_MALFORMED = 1,     /* the input breaks its own format */
    MS_ERROR_DISCONTINUITY = 2, /* the timeline broke and cannot be bridged */
    MS_ERROR_LIMIT = 3,         /* a named limit was reached */
    MS_ERROR_UNSUPPORTED = 4,   /* valid, but not for this element */
    MS_ERROR_PEER = 5,          /* the other end of a connection misbehaved */
    MS_ERROR_IO = 6,            /* the operating system refused */
    MS_ERROR_SETTINGS = 7,      /* the user's settings cannot work */
    MS_ERROR_BUG = 8            /* the element itself is wrong */
};

/* What went wrong, and what may help. The host copies it. */
typedef struct ms_error {
    uint32_t size;
    uint32_t kind;
    ms_str message;  /* begins in lower case, and names the party to blame */
    ms_str hint;     /* a repair that the user can carry out, or empty */
    ms_str property; /* the property to blame, or empty */
    ms_str cause;    /* debug text, or empty */
    int64_t offset;  /* byte in the input, or MS_NONE */
} ms_error;

enum {
    MS_MESSAGE_WARNING = 1,   /* error */
    MS_MESSAGE_ELEMENT = 2,   /* name, pairs */
    MS_MESSAGE_PROGRESS = 3,  /* time, duration */
    MS_MESSAGE_STALLED = 4,   /* duration */
    MS_MESSAGE_RECOVERED = 5, /* duration */
    MS_MESSAGE_DROPPED = 6,   /* name: reason; bytes, offset */
    MS_MESSAGE_LATENCY = 7,   /* duration: output comes so much later than input */
    MS_MESSAGE_LATE = 8       /* duration: a buffer was so much too late; counted */
};

/* For the bus. The host copies it. */
typedef struct ms_message {
    uint32_t size;
    uint32_t kind;
    const ms_error *error;
    ms_str name;
    const ms_pair *pairs;
    uint64_t pair_count;
    int64_t time;
    int64_t duration;
    uint64_t bytes;
    int64_t offset;
} ms_message;

/* ---- The host ------------------------------------------------------------------------------------------------------ */

enum { MS_LOG_ERROR = 1, MS_LOG_WARN = 2, MS_LOG_INFO = 3, MS_LOG_DEBUG = 4, MS_LOG_TRACE = 5 };

/* The services of the host for one element, from `create` until `destroy` has returned. [any] */
typedef struct ms_host {
    uint32_t size;
    uint32_t abi_minor; /* of the host */
    void *instance;     /* the host's own */
    ms_str name;
    ms_str version;
    const void *(*get_extension)(const struct ms_host *host, ms_str id, uint32_t revision);
    void (*log)(const struct ms_host *host, uint32_t level, ms_str target, ms_str text);
    void (*fail)(const struct ms_host *host, const ms_error *error); /* the error of the call that returns; outside of one the element fails */
    void (*post)(const struct ms_host *host, const ms_message *message);
    void (*wake)(const struct ms_host *host); /* asks for `wake`, `step` or `produce` soon */
    uint32_t (*is_cancelled)(const struct ms_host *host);
    int64_t (*now)(const struct ms_host *host);       /* clock of the pipeline */
    int64_t (*wall)(const struct ms_host *host);      /* since 1970-01-01T00:00:00Z */
    int64_t (*base_time)(const struct ms_host *host); /* clock time at which the pipeline was started */
    ms_buffer *(*buffer_new)(const struct ms_host *host, uint64_t len); /* zero bytes, may be written */
    ms_caps *(*caps_new)(const struct ms_host *host, ms_str text);      /* "video/x-raw, width=320"; NULL if it is none */
    void (*caps_ref)(ms_caps *caps);
    void (*caps_unref)(ms_caps *caps);
    ms_str (*caps_text)(const ms_caps *caps); /* as long as the caps are there; so are the next */
    ms_str (*caps_media)(const ms_caps *caps);
    int32_t (*caps_get_text)(const ms_caps *caps, ms_str field, ms_str *value); /* MS_EMPTY: not there, or of another type */
    int32_t (*caps_get_int)(const ms_caps *caps, ms_str field, int64_t *value);
    int32_t (*caps_get_fraction)(const ms_caps *caps, ms_str field, int64_t *num, int64_t *den);
    int32_t (*caps_get_bytes)(const ms_caps *caps, ms_str field, const uint8_t **data, uint64_t *len);
    uint32_t (*caps_equal)(const ms_caps *a, const ms_caps *b);
} ms_host;

/* ---- Sending and receiving ----------------------------------------------------------------------------------------- */

/* Where an element puts what it makes, during the call that it is given to. Never waits. */
typedef struct ms_output {
    uint32_t size;
    uint32_t src_pads;
    void *host;
    int64_t now; /* clock time when the batch began: for deadlines */
    int32_t (*push_buffer)(struct ms_output *out, uint32_t pad, ms_buffer *buffer); /* takes the reference, also when it fails */
    int32_t (*push_event)(struct ms_output *out, uint32_t pad, const ms_event *event); /* MS_ALL_PADS: on each */
    int32_t (*request)(struct ms_output *out, uint32_t pad, const ms_request *request); /* upstream; MS_ALL_PADS: on each */
    int32_t (*wake_at)(struct ms_output *out, int64_t time);
    int32_t (*hold_until)(struct ms_output *out, int64_t time);
    int32_t (*streams_complete)(struct ms_output *out);
    int32_t (*dropped)(struct ms_output *out, ms_str reason, uint64_t bytes, int64_t offset);
} ms_output;

enum { MS_PAD_OPEN = 0, MS_PAD_ABSENT = 1, MS_PAD_EOS = 2 };

/* What was taken: a buffer with its reference, or an event that is valid until the next call. */
typedef struct ms_item {
    uint32_t size;
    uint32_t reserved;
    ms_buffer *buffer;
    const ms_event *event;
} ms_item;

typedef struct ms_peek {
    uint32_t size;
    uint32_t kind; /* 0 for a buffer, else MS_EVENT_... */
    int64_t time;
    uint64_t bytes;
    uint32_t flags;
    uint32_t reserved;
} ms_peek;

/* The inputs of an aggregate. */
typedef struct ms_inbox {
    uint32_t size;
    uint32_t pads;
    void *host;
    int32_t (*pop)(struct ms_inbox *inbox, uint32_t pad, ms_item *item); /* MS_EMPTY if there is none */
    int32_t (*peek)(struct ms_inbox *inbox, uint32_t pad, ms_peek *peek);
    uint32_t (*state)(struct ms_inbox *inbox, uint32_t pad); /* MS_PAD_... behind what waits */
    uint64_t (*len)(struct ms_inbox *inbox, uint32_t pad);
} ms_inbox;

/* ---- The element --------------------------------------------------------------------------------------------------- */

enum { MS_SHAPE_TRANSFORM = 1, MS_SHAPE_AGGREGATE = 2, MS_SHAPE_SOURCE = 3, MS_SHAPE_SINK = 4 };

enum {
    MS_NEED_PADS = 0,  /* an item, the end or the absence of each of `pads` */
    MS_NEED_UNTIL = 1, /* the same, but at `until` whatever has come */
    MS_NEED_AGAIN = 2, /* when this output has gone out */
    MS_NEED_DONE = 3,  /* finished, ends included */
    MS_NEED_WAKE = 4   /* an item of one of `pads`, or ms_host.wake; also after the end of the inputs */
};

typedef struct ms_need {
    uint32_t size;
    uint32_t kind;
    uint64_t pads; /* a bit for each sink pad */
    int64_t until;
} ms_need;

enum {
    MS_PRODUCED_MORE = 0,
    MS_PRODUCED_AT = 1,   /* again at `at` */
    MS_PRODUCED_IDLE = 2, /* nothing to do until a request or ms_host.wake */
    MS_PRODUCED_EOS = 3
};

typedef struct ms_produced {
    uint32_t size;
    uint32_t kind;
    int64_t at;
} ms_produced;

/* Belongs to the plugin, which frees it in `destroy`. All [element] but `interrupt` and `get_extension`, which are [any]. */
typedef struct ms_element {
    uint32_t size;
    uint32_t shape;
    void *data; /* the plugin's own */
    int32_t (*start)(struct ms_element *self, ms_output *out);
    int32_t (*buffer)(struct ms_element *self, uint32_t pad, ms_buffer *buffer, ms_output *out); /* with its reference */
    int32_t (*event)(struct ms_element *self, uint32_t pad, const ms_event *event, ms_output *out); /* NULL: passed on */
    int32_t (*resume)(struct ms_element *self, ms_output *out);
    int32_t (*step)(struct ms_element *self, ms_inbox *inbox, ms_need *need, ms_output *out);
    int32_t (*produce)(struct ms_element *self, ms_produced *produced, ms_output *out);
    int32_t (*request)(struct ms_element *self, uint32_t pad, const ms_request *request, ms_output *out); /* NULL: passed on */
    int32_t (*wake)(struct ms_element *self, int64_t now, ms_output *out);
    int32_t (*flush)(struct ms_element *self, ms_output *out);
    int32_t (*drain)(struct ms_element *self, ms_output *out);
    void (*interrupt)(struct ms_element *self);
    void (*stop)(struct ms_element *self); /* returns within five seconds */
    void (*destroy)(struct ms_element *self);
    const void *(*get_extension)(struct ms_element *self, ms_str id, uint32_t revision);
} ms_element;

/* ---- The plugin ---------------------------------------------------------------------------------------------------- */

enum { MS_PAD_RANDOM_WRITE = 1 };

/* A linked pad. */
typedef struct ms_pad {
    uint32_t size;
    uint32_t flags;
    ms_str name;
    ms_str caps; /* what both sides of the link allow */
} ms_pad;

/* What an element is created from. Valid during the call. */
typedef struct ms_create {
    uint32_t size;
    uint32_t live;   /* 1: fed by a live source */
    ms_str element;  /* which one: its name in the manifest */
    ms_str name;     /* its name in the pipeline */
    ms_str settings; /* a JSON object, checked against the schema of the manifest */
    const ms_pad *const *sinks;
    uint64_t sink_count;
    const ms_pad *const *srcs;
    uint64_t src_count;
} ms_create;

/* The elements of a plugin. [any] */
typedef struct ms_factory {
    uint32_t size;
    uint32_t reserved;
    ms_str (*manifest)(const struct ms_factory *factory); /* JSON: what stands beside the library too */
    ms_element *(*create)(const struct ms_factory *factory, const ms_host *host, const ms_create *from); /* NULL after `fail` */
    ms_str (*elements)(const struct ms_factory *factory);             /* JSON list of those known only on the machine, or NULL */
    ms_str (*describe)(const struct ms_factory *factory, ms_str name); /* one of these, or NULL */
} ms_factory;

/* The exported constant. The first four fields never change, whatever the major. */
typedef struct ms_plugin {
    uint64_t magic;
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor; /* that the plugin needs */
    uint32_t reserved;
    ms_str name;
    ms_str version;
    ms_str licence;
    int32_t (*init)(ms_str path); /* [once]; NULL: nothing to do */
    void (*deinit)(void);
    const void *(*get_factory)(ms_str id); /* [any] */
} ms_plugin;

extern MS_EXPORT const ms_plugin millstream_plugin;

/* ---- Helpers ------------------------------------------------------------------------------------------------------- */

/* A string literal as ms_str, also in initialisers of constants. */
#define MS_STR(literal) { (literal), sizeof(literal) - 1 }

static inline ms_str ms_text(const char *text) {
    ms_str str;
    str.ptr = text;
    str.len = (uint64_t)strlen(text);
    return str;
}

static inline int ms_str_eq(ms_str a, const char *b) {
    return a.len == strlen(b) && (a.len == 0 || memcmp(a.ptr, b, (size_t)a.len) == 0);
}

/* Tells the error of the call that is about to return, and gives what it is to return. */
static inline int32_t ms_fail(const ms_host *host, uint32_t kind, const char *message, const char *hint) {
    ms_error error;
    memset(&error, 0, sizeof error);
    error.size = (uint32_t)sizeof error;
    error.kind = kind;
    error.message = ms_text(message);
    error.hint = ms_text(hint);
    error.offset = MS_NONE;
    host->fail(host, &error);
    return MS_ERROR;
}

#ifdef __cplusplus
}
#endif

#endif /* MILLSTREAM_PLUGIN_H */
