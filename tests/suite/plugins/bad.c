/*
 * A plugin with a fault, of which the tests compile one at a time: -DFAULT_...
 *
 * Its element `bad` passes everything on as far as its fault lets it.
 */
#include <stdlib.h>

#include "millstream_plugin.h"

static const char MANIFEST[] =
    "{ \"millstream-plugin\": 1, \"name\": \"bad\", \"version\": \"0\", \"licence\": \"MIT\", \"abi\": \"1.0\","
    "  \"elements\": [{ \"name\": \"bad\", \"summary\": \"Has a fault\","
#ifdef FAULT_MANIFEST
    "    \"class\": \"AddressOf/Nowhere\","
#endif
    "    \"pads\": [{ \"name\": \"sink\", \"direction\": \"sink\" }, { \"name\": \"src\", \"direction\": \"src\" }] }] }";

typedef struct bad {
    ms_element element;
    const ms_host *host;
    uint64_t buffers;
    ms_output *kept;
} bad;

static void no_op(ms_buffer *buffer) {
    (void)buffer;
}

static const ms_buffer_vtable VTABLE = { sizeof(ms_buffer_vtable), 0, no_op, no_op, NULL, NULL, NULL, NULL };
static const ms_slice SLICE = { NULL, 1000 };
static ms_buffer LOOSE = { sizeof(ms_buffer), 0, &VTABLE, MS_NONE, MS_NONE, MS_NONE, MS_NONE, &SLICE, 1 };

static int32_t on_buffer(ms_element *element, uint32_t pad, ms_buffer *buffer, ms_output *out) {
    bad *self = (bad *)element;
    ms_buffer *loose = &LOOSE;
    (void)pad, (void)loose, (void)out, (void)buffer;
    self->buffers += 1;
#if defined(FAULT_PAD)
    return out->push_buffer(out, 7, buffer);
#elif defined(FAULT_ADDRESS)
    buffer->vtable->unref(buffer);
    return out->push_buffer(out, 0, loose);
#elif defined(FAULT_SLICES)
    buffer->vtable->unref(buffer);
    loose->slice_count = UINT64_MAX;
    return out->push_buffer(out, 0, loose);
#elif defined(FAULT_LENGTH)
    {
        static const ms_slice huge = { (const uint8_t *)MANIFEST, UINT64_MAX };
        buffer->vtable->unref(buffer);
        loose->slices = &huge;
        return out->push_buffer(out, 0, loose);
    }
#elif defined(FAULT_BUFFER_SIZE)
    buffer->vtable->unref(buffer);
    loose->size = 8;
    return out->push_buffer(out, 0, loose);
#elif defined(FAULT_VTABLE)
    buffer->vtable->unref(buffer);
    loose->vtable = NULL;
    return out->push_buffer(out, 0, loose);
#elif defined(FAULT_NO_BUFFER)
    buffer->vtable->unref(buffer);
    return out->push_buffer(out, 0, NULL);
#elif defined(FAULT_SILENT)
    buffer->vtable->unref(buffer);
    return MS_ERROR;
#elif defined(FAULT_STATUS)
    buffer->vtable->unref(buffer);
    return -77;
#elif defined(FAULT_LEAK)
    return MS_OK;
#elif defined(FAULT_KEPT_OUTPUT)
    self->kept = out;
    return out->push_buffer(out, 0, buffer);
#elif defined(FAULT_TWICE)
    buffer->vtable->unref(buffer);
    return out->push_buffer(out, 0, buffer);
#elif defined(FAULT_CRASH)
    return *(volatile int32_t *)(uintptr_t)self->kept;
#else
    return out->push_buffer(out, 0, buffer);
#endif
}

static int32_t on_event(ms_element *element, uint32_t pad, const ms_event *event, ms_output *out) {
    (void)element, (void)pad;
#if defined(FAULT_EVENT)
    {
        ms_event other = *event;
        other.kind = 4711;
        return out->push_event(out, 0, &other);
    }
#elif defined(FAULT_EVENT_SIZE)
    {
        ms_event other = *event;
        other.size = 12;
        return out->push_event(out, 0, &other);
    }
#elif defined(FAULT_NO_EOS)
    if (event->kind == MS_EVENT_EOS) {
        return MS_OK;
    }
#elif defined(FAULT_TWO_EOS)
    if (event->kind == MS_EVENT_EOS) {
        out->push_event(out, MS_ALL_PADS, event);
    }
#elif defined(FAULT_NO_FLUSH)
    if (event->kind == MS_EVENT_FLUSH) {
        return MS_OK;
    }
#endif
    return out->push_event(out, MS_ALL_PADS, event);
}

static void stop(ms_element *element) {
    bad *self = (bad *)element;
    if (self->kept != NULL) {
        ms_event event;
        memset(&event, 0, sizeof event);
        event.size = (uint32_t)sizeof event;
        event.kind = MS_EVENT_EOS;
        self->kept->push_event(self->kept, 0, &event);
    }
#ifdef FAULT_STOP
    for (;;) {
    }
#endif
}

static void destroy(ms_element *element) {
    bad *volatile again = (bad *)element;
    free(element);
    (void)again;
#ifdef FAULT_FREED
    again->buffers += 1;
#endif
}

static ms_element *create(const ms_factory *factory, const ms_host *host, const ms_create *from) {
    bad *self = calloc(1, sizeof *self);
    (void)factory, (void)from;
#ifdef FAULT_CREATE
    free(self);
    return NULL;
#endif
    if (self == NULL) {
        return NULL;
    }
    self->element.size = (uint32_t)sizeof self->element;
    self->element.shape = MS_SHAPE_TRANSFORM;
    self->element.buffer = on_buffer;
    self->element.event = on_event;
    self->element.stop = stop;
    self->element.destroy = destroy;
    self->host = host;
#ifdef FAULT_ELEMENT_SIZE
    self->element.size = 24;
#endif
#ifdef FAULT_SHAPE
    self->element.shape = 9;
#endif
#ifdef FAULT_NO_FUNCTION
    self->element.buffer = NULL;
#endif
    return &self->element;
}

static ms_str manifest(const ms_factory *factory) {
    (void)factory;
    return ms_text(MANIFEST);
}

static const ms_factory FACTORY = {
#ifdef FAULT_FACTORY
    8,
#else
    sizeof(ms_factory),
#endif
    0, manifest, create, NULL, NULL
};

static const void *get_factory(ms_str id) {
#ifdef FAULT_NO_FACTORY
    (void)id, (void)FACTORY;
    return NULL;
#else
    return ms_str_eq(id, MS_FACTORY_ID) ? &FACTORY : NULL;
#endif
}

static int32_t init(ms_str path) {
    (void)path;
#ifdef FAULT_INIT
    return MS_ERROR;
#else
    return MS_OK;
#endif
}

#ifdef FAULT_SYMBOL
MS_EXPORT const int no_plugin = 1;
#define millstream_plugin hidden_plugin
#endif

const ms_plugin millstream_plugin = {
#ifdef FAULT_MAGIC
    42,
#else
    MS_MAGIC,
#endif
#ifdef FAULT_SIZE
    24,
#else
    sizeof(ms_plugin),
#endif
#ifdef FAULT_MAJOR
    2,
#else
    MS_ABI_MAJOR,
#endif
#ifdef FAULT_MINOR
    99,
#else
    0,
#endif
    0,
    MS_STR("bad"),
    MS_STR("0"),
    MS_STR("MIT"),
    init,
    NULL,
    get_factory,
};
