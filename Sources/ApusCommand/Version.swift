/// Which Apus this is.
package enum Version {
    package static let current = "0.1.0"

    package static var summary: Summary {
        var summary = Summary()
        summary.add("version", "Apus", .text(self.current))
        summary.add("protocol", "Protocol", .text("Kafka"))
        summary.add("build", "Build", .text(self.build))
        return summary
    }

    private static var build: String {
        #if DEBUG
        "debug"
        #else
        "release"
        #endif
    }
}
