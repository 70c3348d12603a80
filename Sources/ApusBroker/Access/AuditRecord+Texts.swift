import ApusCore

/// How changes are written in the audit log.
extension RecordDeletion {
    /// One line for each topic, because a request may name every partition there is: the first few of them, and how
    /// many more.
    static func audited(_ deletions: [RecordDeletion], _ results: [Result<Offset, BrokerError>]) -> [String] {
        var order: [TopicReference] = []
        var lines: [TopicReference: (shown: [String], count: Int)] = [:]
        for case (let deletion, .success(let start)) in zip(deletions, results) {
            if lines[deletion.topic] == nil { order.append(deletion.topic) }
            var line = lines[deletion.topic].take() ?? ([], 0)
            line.count += 1
            if line.count <= Limits.auditedPartitionsMax { line.shown.append("\(deletion.partition) before \(start)") }
            lines[deletion.topic] = line
        }
        return order.compactMap { topic in
            lines[topic].map { shown, count in
                let more = count > shown.count ? " and \(count - shown.count) more" : ""
                return "\(topic): \(shown.joined(separator: ", "))\(more)"
            }
        }
    }
}

extension ConfigurationResource {
    var audited: String {
        switch self {
        case .topic(let name): "topic \(name)"
        case .broker(let broker?): "broker \(broker)"
        case .broker(nil): "all brokers"
        }
    }
}

extension ConfigurationAlteration {
    var audited: String {
        switch self {
        case .replace(let values):
            "all of it: "
                + values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value ?? "default")" }.joined(separator: ", ")
        case .change(let changes):
            changes.map { change in
                switch change {
                case .set(let name, let value): "\(name)=\(value)"
                case .delete(let name): "\(name)=default"
                case .append(let name, let value): "\(name)+=\(value)"
                case .subtract(let name, let value): "\(name)-=\(value)"
                }
            }.joined(separator: ", ")
        }
    }
}
