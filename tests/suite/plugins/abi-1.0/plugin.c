/*
 * A plugin as one would have been written for ABI 1.0, with the header of that time beside it. Neither is changed any more.
 *
 * `old-invert` inverts every byte, in the buffer itself or in one of the host's, and tells of the caps that it sees. `old-src` counts to ten.
 */
#include <stdio.h>
#include <stdlib.h>

#include "millstream_plugin.h"

static const char MANIFEST[] =
    "{ \"millstream-plugin\": 1, \"name\": \"old\", \"version\": \"1.0.0\", \"licence\": \"MIT\", \"abi\": \"1.0\","
    "  \"elements\": ["
    "    { \"name\": \"oldinvert\", \"class\": \"Filter\", \"summary\": \"Inverts every byte\","
    "      \"pads\": [{ \"name\": \"sink\", \"direction\": \"sink\" }, { \"name\": \"src\", \"direction\": \"src\" }],"
    "      \"settings\": { \"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "        \"copy\": { \"type\": \"boolean\", \"default\": false, \"description\": \"Into a buffer of the host's.\" } } } },"
    "    { \"name\": \"oldsrc\", \"class\": \"Source\", \"summary\": \"Counts to ten\","
    "      \"pads\": [{ \"name\": \"src\", \"direction\": \"src\", \"caps\": \"application/octet-stream\" }] }"
    "  ] }";

typedef struct old {
    ms_element element;
    const ms_host *host;
    int copy;
    uint8_t made;
} old;

static void tell(const old *self, const char *name, ms_str value) {
    ms_pair pair;
    ms_message message;
    memset(&message, 0, sizeof message);
    pair.name = ms_text("value");
    pair.value = value;
    message.size = (uint32_t)sizeof message;
    message.kind = MS_MESSAGE_ELEMENT;
    message.name = ms_text(name);
    message.pairs = &pair;
    message.pair_count = 1;
    self->host->post(self->host, &message);
}

static void invert(ms_buffer *buffer) {
    uint64_t slice, at;
    for (slice = 0; slice < buffer->slice_count; slice++) {
        uint8_t *bytes = (uint8_t *)(uintptr_t)buffer->slices[slice].data;
        for (at = 0; at < buffer->slices[slice].len; at++) {
            bytes[at] = (uint8_t)~bytes[at];
        }
    }
}

/* Gives a buffer of the host's with the same bytes and times, and back the one that it was made of. */
static ms_buffer *copied(const old *self, ms_buffer *from) {
    uint64_t slice, len = 0, at = 0;
    ms_buffer *to;
    for (slice = 0; slice < from->slice_count; slice++) {
        len += from->slices[slice].len;
    }
    to = self->host->buffer_new(self->host, len);
    if (to != NULL) {
        for (slice = 0; slice < from->slice_count; slice++) {
            memcpy((uint8_t *)(uintptr_t)to->slices[0].data + at, from->slices[slice].data, (size_t)from->slices[slice].len);
            at += from->slices[slice].len;
        }
        to->pts = from->pts;
        to->dts = from->dts;
        to->duration = from->duration;
        to->offset = from->offset;
        to->flags = from->flags;
    }
    from->vtable->unref(from);
    return to;
}

static int32_t on_buffer(ms_element *element, uint32_t pad, ms_buffer *buffer, ms_output *out) {
    old *self = (old *)element;
    (void)pad;
    buffer = self->copy ? copied(self, buffer) : buffer->vtable->make_writable(buffer);
    if (buffer == NULL) {
        return ms_fail(self->host, MS_ERROR_LIMIT, "no memory for a buffer", "");
    }
    invert(buffer);
    return out->push_buffer(out, 0, buffer);
}

static int32_t on_event(ms_element *element, uint32_t pad, const ms_event *event, ms_output *out) {
    const old *self = (const old *)element;
    (void)pad;
    if (event->kind == MS_EVENT_CAPS) {
        tell(self, "caps", self->host->caps_media(event->caps));
    }
    return out->push_event(out, MS_ALL_PADS, event);
}

static int32_t start(ms_element *element, ms_output *out) {
    const old *self = (const old *)element;
    ms_event event;
    memset(&event, 0, sizeof event);
    event.size = (uint32_t)sizeof event;
    event.kind = MS_EVENT_STREAM_START;
    event.name = ms_text("old");
    out->push_event(out, 0, &event);
    event.kind = MS_EVENT_CAPS;
    event.caps = self->host->caps_new(self->host, ms_text("application/octet-stream"));
    out->push_event(out, 0, &event);
    self->host->caps_unref(event.caps);
    event.caps = NULL;
    event.kind = MS_EVENT_SEGMENT;
    event.format = MS_FORMAT_TIME;
    return out->push_event(out, 0, &event);
}

static int32_t produce(ms_element *element, ms_produced *produced, ms_output *out) {
    old *self = (old *)element;
    ms_buffer *buffer;
    if (self->made == 10) {
        produced->kind = MS_PRODUCED_EOS;
        return MS_OK;
    }
    buffer = self->host->buffer_new(self->host, 1);
    if (buffer == NULL) {
        return ms_fail(self->host, MS_ERROR_LIMIT, "no memory for a buffer", "");
    }
    *(uint8_t *)(uintptr_t)buffer->slices[0].data = self->made;
    buffer->pts = buffer->dts = (int64_t)self->made * 1000000;
    self->made += 1;
    produced->kind = MS_PRODUCED_MORE;
    return out->push_buffer(out, 0, buffer);
}

static void destroy(ms_element *element) {
    free(element);
}

static int contains(ms_str text, const char *part) {
    uint64_t at, len = strlen(part);
    for (at = 0; at + len <= text.len; at++) {
        if (memcmp(text.ptr + at, part, (size_t)len) == 0) {
            return 1;
        }
    }
    return 0;
}

static ms_element *create(const ms_factory *factory, const ms_host *host, const ms_create *from) {
    old *self = calloc(1, sizeof *self);
    (void)factory;
    if (self == NULL) {
        ms_fail(host, MS_ERROR_LIMIT, "no memory for the element", "");
        return NULL;
    }
    self->host = host;
    self->element.size = (uint32_t)sizeof self->element;
    self->element.destroy = destroy;
    if (ms_str_eq(from->element, "oldsrc")) {
        self->element.shape = MS_SHAPE_SOURCE;
        self->element.start = start;
        self->element.produce = produce;
    } else {
        self->element.shape = MS_SHAPE_TRANSFORM;
        self->element.buffer = on_buffer;
        self->element.event = on_event;
        self->copy = contains(from->settings, "\"copy\":true");
    }
    return &self->element;
}

static ms_str manifest(const ms_factory *factory) {
    (void)factory;
    return ms_text(MANIFEST);
}

static const ms_factory FACTORY = { sizeof(ms_factory), 0, manifest, create, NULL, NULL };

static const void *get_factory(ms_str id) {
    return ms_str_eq(id, MS_FACTORY_ID) ? &FACTORY : NULL;
}

const ms_plugin millstream_plugin = {
    MS_MAGIC, sizeof(ms_plugin), 1, 0, 0, MS_STR("old"), MS_STR("1.0.0"), MS_STR("MIT"), NULL, NULL, get_factory,
};
