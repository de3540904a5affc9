//! The table of diagnostic codes. A code never changes its meaning and is never used again for another.

/// A code with what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// `MS` and four digits; the first two are the area.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// A paragraph: what it means and how it is repaired.
    pub explanation: &'static str,
}

/// What `code` means; `None` for a code that does not exist.
#[must_use]
pub fn explain(code: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.code.eq_ignore_ascii_case(code))
}

macro_rules! code_table {
    ($($name:ident $code:literal $title:literal $explanation:literal)*) => {
        /// The codes by name.
        pub mod codes {
            $(#[doc = $title] pub const $name: &str = $code;)*
        }

        /// Every code, in order.
        pub const CODES: &[CodeInfo] =
            &[$(CodeInfo { code: $code, title: $title, explanation: $explanation }),*];
    };
}

code_table! {
    YAML_SYNTAX "MS0001" "The text is not YAML"
        "The file cannot be read as YAML 1.2. Usual causes: a tab used for indentation, a value with `: ` or ` #` in it that \
         needs quotes, a bracket that is not closed, or `${…}` without quotes inside `{ }`."
    TOO_LARGE "MS0002" "The text is too large"
        "A pipeline file is at most 1 MiB. Real pipelines take a few kilobytes; a larger file is usually the wrong file."
    TOO_DEEP "MS0003" "The text is nested too deeply"
        "Mappings and lists may be nested 64 deep. Pipelines need about four levels; the limit protects against hostile files."
    TOO_MANY_NODES "MS0004" "The text has too many values"
        "A pipeline file has at most 100 000 keys and values. The limit protects against hostile files."
    YAML_ALIAS "MS0005" "YAML anchors and aliases are not allowed"
        "A value that begins with `&` or `*` is an anchor or alias in YAML. Pipelines have neither: write the value out, use \
         a param for what occurs twice, or put quotes around text that begins with these signs."
    DUPLICATE_KEY "MS0006" "A key is given twice"
        "One mapping has the same key twice; YAML does not say which of them counts. Remove or rename one."
    YAML_TAG "MS0007" "YAML tags are not allowed"
        "A value that begins with `!` is a tag in YAML. Pipelines have none: put quotes around text that begins with `!`; \
         a link line begins with an element, not with `!`."
    SEVERAL_DOCUMENTS "MS0008" "The file has several documents"
        "`---` begins a new YAML document, and a pipeline file has one. Put each pipeline into a file of its own."
    NOT_UTF8 "MS0009" "The file is not UTF-8"
        "Pipelines are UTF-8 text. Save the file as UTF-8; if it is a media file, use `discover` or `launch filesrc location=…`."
    COMPLEX_KEY "MS0010" "A key is not plain text"
        "Keys of a pipeline are plain words. A list or mapping as a key is YAML, but means nothing here; inside `{ }` it usually \
         comes from `${…}` or `{…}` without quotes."

    NOT_A_PIPELINE "MS0101" "The file is not a pipeline"
        "A pipeline file is a mapping with the sections name, description, params, elements and links."
    UNKNOWN_SECTION "MS0102" "The section does not exist"
        "The sections of a pipeline file are name, description, params, elements and links; a param has default, description, \
         env and required."
    WRONG_SHAPE "MS0103" "The section has the wrong shape"
        "`params` and `elements` are mappings from names, `links` is a list of lines, `name` and `description` are text."
    ELEMENT_MISSING "MS0104" "An element does not say what it is"
        "Each entry of `elements` names its kind: `in: { element: filesrc, location: a.flv }`."
    BAD_NAME "MS0105" "The name cannot be used"
        "Names of elements and params begin with a letter or `_` and go on with letters, digits, `_` and `-`, at most 64 \
         characters, because links and `${…}` refer to them."
    NAME_TWICE "MS0106" "The name is used twice"
        "Two elements of a pipeline have the same name, so that a link to it could mean either. Rename one."
    EMPTY_PIPELINE "MS0107" "The pipeline has no elements"
        "There is nothing to run. The smallest pipeline is a source linked to a sink: `fakesrc ! fakesink`."

    PARAM_UNKNOWN "MS0201" "The param does not exist"
        "`${name}` names a param that the section `params` does not declare. Declare it, or write `$${` for a literal `${`."
    PARAM_MISSING "MS0202" "The param has no value"
        "A param without a default needs a value: `--set name=value`, or the environment variable that its `env` names."
    SET_UNKNOWN "MS0203" "--set names no param"
        "The name given with `--set` is not in the section `params` of the pipeline."
    PARAM_SYNTAX "MS0204" "The ${…} is malformed"
        "A reference to a param is `${name}`, nothing else: no default, no expression. `$${` stands for a literal `${`."
    PARAM_PLACE "MS0205" "A ${…} stands where it is not replaced"
        "Params are replaced in property values only, after the file has been read, so that a value can never add elements, \
         links or properties. An element's kind, names, keys, pads, caps filters and params themselves are fixed; a filter \
         from a param is the element `capsfilter` with `caps: \"${caps}\"`."
    PARAM_UNUSED "MS0206" "The param is not used"
        "The section `params` declares it, but no property value has it. Setting it would change nothing."
    SET_SYNTAX "MS0207" "--set is malformed"
        "Params are set as `--set name=value`, each with a `--set` of its own, each once."
    NO_TEMPLATE "MS0208" "The pipeline is no template"
        "Some `${…}` are given to the instances of a template: `${app}`, `${stream}` and `${query.NAME}` where an `rtmpserversrc` has \
         `stream: \"*\"`. In a pipeline that runs once they have no value."
    TEMPLATE_TWICE "MS0209" "The pipeline is a template twice"
        "An instance of a template is started for one who comes, so only one element of a pipeline can be what they come to. Put the \
         other into a pipeline of its own; both may share a listener."
    PARAM_RESERVED "MS0210" "The param has the name of a variable"
        "Each instance of this template is given a variable of this name, so `${name}` could mean either. Rename the param."
    SHARED_BY_INSTANCES "MS0211" "All instances would write to the same place"
        "The pipeline is a template, whose instances run beside each other. What each of them writes needs a variable such as \
         `${stream}` in its name."

    LINE_SYNTAX "MS0301" "The line cannot be read"
        "A line is elements joined by `!`: `filesrc location=a.flv ! flvdemux name=d d.video ! h264parse ! fakesink`. An \
         element's properties follow it; `name.pad` means a pad of another element."
    UNCLOSED_QUOTE "MS0302" "The quote is not closed"
        "A value that begins with a quote ends with the same quote. A quote inside is written `\\\"`."
    PROPERTY_SYNTAX "MS0303" "The property cannot be read"
        "A property is `name=value` and stands after its element. A value with white space is put in quotes."
    PARENTHESIS "MS0304" "A parenthesis has no partner"
        "A bin is `( … )`, with white space before the closing parenthesis."
    FILTER_PLACE "MS0305" "A caps filter has no element beside it"
        "A caps filter stands between two elements: `flvdemux ! video/x-h264,stream-format=avc ! flvmux`."
    NOT_SUPPORTED "MS0306" "This part of gst-launch's grammar is not supported"
        "Supported are elements, properties, `name=`, `name.pad`, `!`, caps filters and bins in parentheses. Links with `:`, pads of \
         bins, properties of children (`child::property`) and URLs as elements are not."
    BIN_FLATTENED "MS0307" "The bin becomes part of the pipeline"
        "Here a bin only groups: its elements are put into the pipeline itself, and properties of the bin have no effect."
    PROPERTY_TWICE "MS0308" "A property is given twice"
        "The same property stands twice after one element. Remove one."
    PROPERTY_OF_REFERENCE "MS0309" "A reference cannot have properties"
        "Properties belong where the element is made: in `elements`, or after its first mention in a launch line."
    TOO_MANY_TOKENS "MS0310" "The line is too long"
        "A pipeline has at most 10 000 words in its lines. The limit protects against hostile input."

    UNKNOWN_ELEMENT "MS0401" "The element does not exist"
        "No element of this name is in this program or its plugins. `inspect` lists those that are."
    UNKNOWN_PROPERTY "MS0402" "The property does not exist"
        "The element has no such property. `inspect ELEMENT` lists those it has."
    WRONG_TYPE "MS0403" "The value has the wrong type"
        "The property wants another type of value: a whole number, a number, true or false, text, a list or a mapping."
    OUT_OF_RANGE "MS0404" "The value is out of range"
        "The number is smaller or larger than the property allows."
    PROPERTY_MISSING "MS0405" "A property is missing"
        "The element cannot work without this property, and there is no default that would suit."
    UNKNOWN_CHOICE "MS0406" "The value is none of the choices"
        "The property takes one of a few words."
    BAD_VALUE "MS0407" "The value cannot be used"
        "The element refuses the value; the message says why. A duration needs a unit (2s, 250ms, 1m30s), because the \
         bare numbers of other programs mean nanoseconds in one and seconds in another; sizes may have one (16MiB), and so \
         may bit rates (2500k)."
    BAD_ON_ERROR "MS0408" "on-error is malformed"
        "`on-error` is `fail`, `isolate` or `restart`; `{ restart: { limit: 5, delay: 1s } }` and `restart,limit=5,delay=1s` say \
         how often and how fast."
    BAD_CAPS "MS0409" "The caps cannot be read"
        "Caps are a media type and fields, `video/x-h264,stream-format=avc,width=1920`, several of them separated by `;`."
    SETTINGS_CONFLICT "MS0410" "The settings cannot work together"
        "Each property is valid by itself, but not beside the others of the element; the message says what they contradict."
    PLUGIN_REFUSED "MS0411" "The plugin is not used"
        "The file names a plugin under `plugins:` that is not there or cannot be used here: another machine, another ABI, a manifest of \
         another build, or a library that is not the pinned one. The message says what it needs and what to do."

    LINK_UNKNOWN "MS0501" "A link names an element that does not exist"
        "Each `name.` or `name.pad` of a link must be the name of an element of this pipeline."
    UNKNOWN_PAD "MS0502" "The pad does not exist"
        "The element has no pad of this name. `inspect ELEMENT` lists its pads."
    PAD_DIRECTION "MS0503" "The link goes the wrong way"
        "Left of `!` stands what gives (a source pad), right of it what takes (a sink pad)."
    PAD_TWICE "MS0504" "A pad is linked twice"
        "A pad has one link. To send one stream to several elements put a `tee` before them; to join several streams use `funnel`, \
         `concat` or a muxer."
    CAPS_MISMATCH "MS0505" "The two sides of a link have no caps in common"
        "What the left side offers and what the right side accepts do not meet. The message names the first field that differs; \
         the hint names an element that converts, if there is one."
    CYCLE "MS0506" "The links form a cycle"
        "Data would come back to an element it has been through. Pipelines flow one way."
    PAD_UNLINKED "MS0507" "A pad is not linked"
        "The element cannot work with this pad open. Link it; `fakesink` takes what nobody wants."
    ELEMENT_UNLINKED "MS0508" "An element is not linked to anything"
        "The element stands alone and would do nothing. Link it or remove it."
    NO_FREE_PAD "MS0509" "The element has no pad for this link"
        "All its pads in this direction are linked already, or it has none: a sink gives nothing, a source takes nothing."
    SHARED_RESOURCE "MS0510" "Two elements use the same file, directory or port"
        "Both would write the same file or listen on the same address. Give one of them another."
    LINK_TO_ITSELF "MS0511" "An element is linked to itself"
        "Both ends of the link are the same element."
    PADS_CONFLICT "MS0512" "The linked pads cannot work together"
        "Each link is good by itself, but the element cannot serve all of these pads at the same time; the message says why."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_explained() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(CODES.iter().all(|info| info.explanation.ends_with('.') && !info.title.ends_with('.')));
        assert_eq!(explain("ms0402").map(|info| info.code), Some(codes::UNKNOWN_PROPERTY));
        assert_eq!(explain("MS9999"), None);
    }
}
