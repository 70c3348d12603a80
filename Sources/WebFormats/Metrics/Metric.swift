package import NIOCore

/// One number of this node, or one for each of some labels, as Prometheus reads it (text format 0.0.4).
package struct Metric: Sendable {
    package enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    package struct Sample: Sendable {
        /// Behind the metric's name: `_bucket` and the like of a histogram.
        package var suffix: StaticString
        /// Values may come from strangers; names are ours.
        package var labels: [(name: StaticString, value: String)]
        package var value: Double

        package init(_ value: Double, _ labels: [(name: StaticString, value: String)] = [], suffix: StaticString = "") {
            self.value = value
            self.labels = labels
            self.suffix = suffix
        }
    }

    package var name: StaticString
    package var kind: Kind
    package var meaning: StaticString
    package var samples: [Sample]

    package init(_ name: StaticString, _ kind: Kind, _ meaning: StaticString, _ samples: [Sample]) {
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self.samples = samples
    }

    package init(_ name: StaticString, _ kind: Kind, _ meaning: StaticString, _ value: Int) {
        self.init(name, kind, meaning, [Sample(Double(value))])
    }
}

extension ByteBuffer {
    /// The metric's lines; none for one without samples.
    package mutating func writeMetric(_ metric: Metric) {
        guard !metric.samples.isEmpty else { return }
        self.writeString("# HELP \(metric.name) \(metric.meaning)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n")
        for sample in metric.samples {
            self.writeStaticString(metric.name)
            self.writeStaticString(sample.suffix)
            for (index, label) in sample.labels.enumerated() {
                self.writeString(index == 0 ? "{" : ",")
                self.writeStaticString(label.name)
                self.writeStaticString("=\"")
                self.writeLabel(label.value)
                self.writeStaticString("\"")
            }
            if !sample.labels.isEmpty { self.writeStaticString("}") }
            let isWhole = sample.value.rounded() == sample.value && abs(sample.value) < 1e15
            self.writeString(isWhole ? " \(Int64(sample.value))\n" : " \(sample.value)\n")
        }
    }

    /// A label's value in one line and between its quotes, whatever is in it. Control characters, which some readers
    /// take for the end of a line, are told as what can not be shown.
    private mutating func writeLabel(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": self.writeStaticString("\\\\")
            case "\"": self.writeStaticString("\\\"")
            case "\n": self.writeStaticString("\\n")
            default:
                let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                let isSeparator = scalar.value == 0x2028 || scalar.value == 0x2029
                self.writeString(isControl || isSeparator ? "\u{FFFD}" : String(scalar))
            }
        }
    }
}
