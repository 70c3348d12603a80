/// How changes are written in the audit log.
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
