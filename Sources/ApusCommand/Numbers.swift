/// Numbers as people read them.
package enum Numbers {
    /// `1,234,567`.
    package static func grouped(_ value: Int64) -> String {
        let digits = String(value.magnitude)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
            text.append(digit)
        }
        return value < 0 ? "-" + text : text
    }

    /// With a fixed number of digits behind the point, rounded half away from zero: `12.30`.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "-" }
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = (value * scale).rounded(.toNearestOrAwayFromZero)
        // Too large for the integers: nobody needs the digits behind the point.
        guard scaled.magnitude < 9e18 else { return "\(value)" }
        let whole = String(Int64(scaled.magnitude))
        let padded = String(repeating: "0", count: max(0, digits + 1 - whole.count)) + whole
        let sign = scaled < 0 ? "-" : ""
        guard digits > 0 else { return sign + padded }
        return "\(sign)\(padded.dropLast(digits)).\(padded.suffix(digits))"
    }

    /// `0.18 s`, `4.2 min`, `350 µs`: three digits or so, one unit.
    package static func duration(_ duration: Duration) -> String {
        let (whole, attoseconds) = duration.components
        let seconds = Double(whole) + Double(attoseconds) / 1e18
        return switch seconds.magnitude {
        case ..<0.000_001: "\(Self.fixed(seconds * 1e9, 0)) ns"
        case ..<0.001: "\(Self.fixed(seconds * 1e6, 0)) µs"
        case ..<0.1: "\(Self.fixed(seconds * 1e3, 1)) ms"
        case ..<120: "\(Self.fixed(seconds, 2)) s"
        case ..<7200: "\(Self.fixed(seconds / 60, 1)) min"
        case ..<172_800: "\(Self.fixed(seconds / 3600, 1)) h"
        default: "\(Self.fixed(seconds / 86_400, 1)) d"
        }
    }
}
