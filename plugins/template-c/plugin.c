/*
 * A plugin in C with one element, `ccount`: passes everything on, and says at the end how much that was.
 *
 * Build:  make
 * or:     cc -std=c11 -shared -fPIC -I DIRECTORY_OF_millstream_plugin.h -o libtemplate_c.so plugin.c
 *         millstream plugins manifest libtemplate_c.so
 */
#include <stdio.h>
#include <stdlib.h>

#include "millstream_plugin.h"

/* What stands in the manifest. `settings` is a JSON Schema; what is left out comes with its default. */
static const char MANIFEST[] =
    "{ \"millstream-plugin\": 1, \"name\": \"template-c\", \"version\": \"0.1.0\","
    "  \"licence\": \"MIT OR Apache-2.0\", \"abi\": \"1.0\","
    "  \"elements\": [{"
    "    \"name\": \"ccount\", \"class\": \"Filter/Analyzer\", \"summary\": \"Passes everything on and counts it, in C\","
    "    \"example\": \"fakesrc num-buffers=10 ! ccount every=5 ! fakesink\", \"passthrough\": true,"
    "    \"pads\": [{ \"name\": \"sink\", \"direction\": \"sink\" }, { \"name\": \"src\", \"direction\": \"src\" }],"
    "    \"settings\": { \"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "      \"every\": { \"type\": \"integer\", \"minimum\": 0, \"maximum\": 1000000, \"default\": 100,"
    "        \"description\": \"Say how many there were after each so many buffers; 0 for at the end only.\" }"
    "    } }"
    "  }] }";

typedef struct count {
    ms_element element; /* first, so that a pointer to one is a pointer to the other */
    const ms_host *host;
    uint64_t every;
    uint64_t buffers;
    uint64_t bytes;
} count;

static void tell(const count *self) {
    char buffers[32], bytes[32];
    ms_pair pairs[2];
    ms_message message;
    snprintf(buffers, sizeof buffers, "%llu", (unsigned long long)self->buffers);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)self->bytes);
    pairs[0].name = ms_text("buffers");
    pairs[0].value = ms_text(buffers);
    pairs[1].name = ms_text("bytes");
    pairs[1].value = ms_text(bytes);
    memset(&message, 0, sizeof message);
    message.size = (uint32_t)sizeof message;
    message.kind = MS_MESSAGE_ELEMENT;
    message.name = ms_text("count");
    message.pairs = pairs;
    message.pair_count = 2;
    self->host->post(self->host, &message);
}

static int32_t on_buffer(ms_element *element, uint32_t pad, ms_buffer *buffer, ms_output *out) {
    count *self = (count *)element;
    uint64_t at;
    (void)pad;
    self->buffers += 1;
    for (at = 0; at < buffer->slice_count; at++) {
        self->bytes += buffer->slices[at].len;
    }
    if (self->every > 0 && self->buffers % self->every == 0) {
        tell(self);
    }
    /* The reference goes with it; what the host does not take it counts as our failure. */
    return out->push_buffer(out, 0, buffer);
}

static int32_t on_event(ms_element *element, uint32_t pad, const ms_event *event, ms_output *out) {
    (void)pad;
    if (event->kind == MS_EVENT_EOS) {
        tell((const count *)element);
    }
    /* What an element does not understand goes on. */
    return out->push_event(out, MS_ALL_PADS, event);
}

static void destroy(ms_element *element) {
    free(element);
}

/* The value of a whole number in settings that the host has checked: `{"every":100}`. */
static uint64_t number(ms_str settings, const char *name) {
    char key[64];
    size_t len, at;
    len = (size_t)snprintf(key, sizeof key, "\"%s\":", name);
    for (at = 0; at + len < settings.len; at++) {
        if (memcmp(settings.ptr + at, key, len) == 0) {
            return strtoull(settings.ptr + at + len, NULL, 10);
        }
    }
    return 0;
}

static ms_element *create(const ms_factory *factory, const ms_host *host, const ms_create *from) {
    count *self;
    (void)factory;
    if (!ms_str_eq(from->element, "ccount")) {
        ms_fail(host, MS_ERROR_BUG, "the plugin has no such element", "");
        return NULL;
    }
    self = calloc(1, sizeof *self);
    if (self == NULL) {
        ms_fail(host, MS_ERROR_LIMIT, "no memory for the element", "");
        return NULL;
    }
    self->element.size = (uint32_t)sizeof self->element;
    self->element.shape = MS_SHAPE_TRANSFORM;
    self->element.buffer = on_buffer;
    self->element.event = on_event;
    self->element.destroy = destroy;
    self->host = host;
    self->every = number(from->settings, "every");
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
    MS_MAGIC,
    sizeof(ms_plugin),
    MS_ABI_MAJOR,
    0, /* the minor that it needs */
    0,
    MS_STR("template-c"),
    MS_STR("0.1.0"),
    MS_STR("MIT OR Apache-2.0"),
    NULL,
    NULL,
    get_factory,
};
