//! `colorInfo`: HDR metadata in a video Metadata packet (Enhanced RTMP v2, "Metadata Frame").

use bytes::BufMut;
use millstream_amf::{AmfError, Properties, Value};

use super::script::{parse_script, write_script};
use super::tag::TagKind;

/// The name of the pair.
const COLOR_INFO: &str = "colorInfo";

/// What a Metadata packet says about colours.
#[derive(Debug, Clone, PartialEq)]
pub enum ColorUpdate {
    /// Back to what the bitstream says.
    Reset,
    /// This holds from the next frame on.
    Set(Box<ColorInfo>),
}

/// Colour and HDR properties; each is absent if the sender did not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColorInfo {
    /// Bits per colour channel.
    pub bit_depth: Option<u8>,
    /// ISO/IEC 23091-4 colour primaries.
    pub primaries: Option<u8>,
    /// ISO/IEC 23091-4 transfer characteristics.
    pub transfer: Option<u8>,
    /// ISO/IEC 23091-4 matrix coefficients.
    pub matrix: Option<u8>,
    /// Maximum frame average light level, cd/m2.
    pub max_fall: Option<f64>,
    /// Maximum content light level, cd/m2.
    pub max_cll: Option<f64>,
    /// Mastering display.
    pub mastering: Option<MasteringDisplay>,
}

/// Mastering display colour volume (SMPTE ST 2086).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MasteringDisplay {
    /// CIE 1931 x and y of red, green, blue and the white point.
    pub chromaticity: [[f64; 2]; 4],
    /// Maximum luminance, cd/m2.
    pub max_luminance: f64,
    /// Minimum luminance, cd/m2.
    pub min_luminance: f64,
}

/// Names of the chromaticity coordinates, in the order of [`MasteringDisplay::chromaticity`].
const CHROMATICITY: [[&str; 2]; 4] =
    [["redX", "redY"], ["greenX", "greenY"], ["blueX", "blueY"], ["whitePointX", "whitePointY"]];

/// Reads the payload of a [`PacketKind::Metadata`](super::PacketKind::Metadata) packet; nothing if it holds no `colorInfo`.
///
/// # Errors
/// [`AmfError`] if the payload is not AMF.
pub fn parse_color_info(payload: &[u8]) -> Result<Option<ColorUpdate>, AmfError> {
    let tag = parse_script(TagKind::Script, payload)?;
    // Pairs of name and value; only the first is defined, further ones follow in `values`.
    let mut rest = tag.values.iter();
    let mut name = Some(tag.name.as_str());
    while let Some(current) = name {
        let value = rest.next();
        if current == COLOR_INFO {
            return Ok(Some(value.map_or(ColorUpdate::Reset, ColorUpdate::from_value)));
        }
        name = rest.next().and_then(Value::as_str);
    }
    match tag.damage {
        Some(damage) => Err(damage),
        None => Ok(None),
    }
}

/// Appends the payload of a Metadata packet.
pub fn write_color_info(update: &ColorUpdate, out: &mut impl BufMut) {
    let value = match update {
        ColorUpdate::Reset => Value::Undefined,
        ColorUpdate::Set(info) => info.to_value(),
    };
    write_script(COLOR_INFO, &[value], out);
}

impl ColorUpdate {
    fn from_value(value: &Value) -> Self {
        match value.properties() {
            Some(properties) if !properties.is_empty() => Self::Set(Box::new(ColorInfo::from_value(value))),
            _ => Self::Reset,
        }
    }
}

impl ColorInfo {
    fn from_value(value: &Value) -> Self {
        let number =
            |group: &str, name: &str| value.get(group)?.get(name)?.as_f64().filter(|number| number.is_finite());
        let index = |name| number("colorConfig", name).filter(|n| (0.0..=255.0).contains(n)).map(|n| n as u8);
        Self {
            bit_depth: index("bitDepth"),
            primaries: index("colorPrimaries"),
            transfer: index("transferCharacteristics"),
            matrix: index("matrixCoefficients"),
            max_fall: number("hdrCll", "maxFall"),
            // The standard spells it maxCLL.
            max_cll: number("hdrCll", "maxCLL").or_else(|| number("hdrCll", "maxCll")),
            mastering: value.get("hdrMdcv").and_then(MasteringDisplay::from_value),
        }
    }

    fn to_value(&self) -> Value {
        let group = |items: &[(&str, Option<f64>)]| -> Properties {
            items.iter().filter_map(|(name, value)| Some(((*name).into(), Value::Number((*value)?)))).collect()
        };
        let config = group(&[
            ("bitDepth", self.bit_depth.map(f64::from)),
            ("colorPrimaries", self.primaries.map(f64::from)),
            ("transferCharacteristics", self.transfer.map(f64::from)),
            ("matrixCoefficients", self.matrix.map(f64::from)),
        ]);
        let light = group(&[("maxFall", self.max_fall), ("maxCLL", self.max_cll)]);
        let mastering = self.mastering.map(|mastering| mastering.to_properties()).unwrap_or_default();
        let groups = [("colorConfig", config), ("hdrCll", light), ("hdrMdcv", mastering)];
        Value::object(
            groups.into_iter().filter(|(_, group)| !group.is_empty()).map(|(name, g)| (name, Value::object(g))),
        )
    }
}

impl MasteringDisplay {
    fn from_value(value: &Value) -> Option<Self> {
        let number = |name: &str| value.get(name)?.as_f64().filter(|number| number.is_finite());
        let mut chromaticity = [[0.0; 2]; 4];
        for (point, names) in chromaticity.iter_mut().zip(CHROMATICITY) {
            *point = [number(names[0])?, number(names[1])?];
        }
        Some(Self { chromaticity, max_luminance: number("maxLuminance")?, min_luminance: number("minLuminance")? })
    }

    fn to_properties(self) -> Properties {
        let points = self.chromaticity.into_iter().flatten().zip(CHROMATICITY.into_iter().flatten());
        let mut out: Properties = points.map(|(value, name)| (name.into(), Value::Number(value))).collect();
        out.push(("maxLuminance".into(), Value::Number(self.max_luminance)));
        out.push(("minLuminance".into(), Value::Number(self.min_luminance)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(update: &ColorUpdate) -> Option<ColorUpdate> {
        let mut out = Vec::new();
        write_color_info(update, &mut out);
        parse_color_info(&out).unwrap()
    }

    #[test]
    fn ert_8_color_info_round_trip_and_reset() {
        let mastering = MasteringDisplay {
            chromaticity: [[0.708, 0.292], [0.17, 0.797], [0.131, 0.046], [0.3127, 0.329]],
            max_luminance: 1000.0,
            min_luminance: 0.0001,
        };
        let info = ColorInfo {
            bit_depth: Some(10),
            primaries: Some(9),
            transfer: Some(16),
            matrix: Some(9),
            max_fall: Some(400.0),
            max_cll: Some(1000.0),
            mastering: Some(mastering),
        };
        for info in [info, ColorInfo { primaries: Some(1), ..ColorInfo::default() }] {
            let update = ColorUpdate::Set(Box::new(info));
            assert_eq!(round_trip(&update), Some(update));
        }
        assert_eq!(round_trip(&ColorUpdate::Reset), Some(ColorUpdate::Reset));
    }

    #[test]
    fn ert_8_empty_object_resets_and_other_names_are_skipped() {
        let mut out = Vec::new();
        write_script("other", &[Value::Null, COLOR_INFO.into(), Value::object::<&str>([])], &mut out);
        assert_eq!(parse_color_info(&out).unwrap(), Some(ColorUpdate::Reset));
        out.clear();
        write_script("other", &[Value::Null], &mut out);
        assert_eq!(parse_color_info(&out).unwrap(), None);
    }
}
