// swift-tools-version: 6.2
import PackageDescription

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let hashTrees: Target.Dependency = .product(name: "HashTreeCollections", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird: [Target.Dependency] = [
    .product(name: "Hummingbird", package: "hummingbird"), .product(name: "HummingbirdCore", package: "hummingbird"),
    .product(name: "HTTPTypes", package: "swift-http-types"),
    .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
    .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
]
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")

/// A part of Apus and its tests. This list is the architecture: think hard before adding an arrow.
func part(
    _ name: String, _ needs: [Target.Dependency], tests: [Target.Dependency] = [], exclude: [String] = [],
    testsExclude: [String] = [], resources: [Resource] = []
) -> [Target] {
    [
        .target(name: name, dependencies: needs, exclude: exclude, resources: resources, swiftSettings: house),
        .testTarget(
            name: "\(name)Tests",
            dependencies: [.byName(name: name)] + needs + tests,
            exclude: testsExclude,
            swiftSettings: house
        ),
    ]
}

/// A C library of the system, found through pkg-config.
func system(_ name: String, _ pkgConfig: String, _ debian: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([debian])])
}

let parts: [[Target]] = [
    // Thinking.
    part("ApusCore", [nioCore]),
    part(
        "KafkaWire", [nioCore, "CApus", "CZlib", "CZstd", "CLZ4", "CSnappy"], tests: ["kafka-wire-gen"],
        exclude: ["Schema"], testsExclude: ["Captures"]
    ),
    part("ApusLog", ["ApusCore", "KafkaWire", "CApus", nioCore], tests: ["ApusFakes"]),
    part("ApusReplication", ["ApusCore"]),
    part("ApusGroups", ["ApusCore", "KafkaWire", nioCore, heap], tests: ["ApusFakes"]),
    part("ApusAccess", ["ApusCore", nioCore, crypto, cryptoExtras], tests: ["ApusFakes"]),
    part(
        "ApusSubscriptions", ["ApusCore", hashTrees, .product(name: "HeapModule", package: "swift-collections")],
        tests: ["ApusFakes"]
    ),
    part("ApusPresence", ["ApusCore", nioCore], tests: ["ApusFakes"]),
    part(
        "ApusBroker",
        [
            "ApusCore", "ApusLog", "ApusReplication", "ApusGroups", "ApusAccess", "ApusSubscriptions", "ApusPresence",
            "KafkaWire", nioCore, deque, hashTrees, logging,
        ],
        tests: ["ApusFakes", nioEmbedded]
    ),
    part("WebFormats", ["ApusBroker", "ApusAccess", "ApusCore", nioCore, crypto], tests: ["ApusFakes"]),
    // Doors.
    part(
        "KafkaDoor",
        [
            "ApusBroker", "ApusAccess", "ApusGroups", "ApusPresence", "ApusCore", "KafkaWire", nioCore, nioPosix,
            nioTLS,
            nioSSL, deque, logging,
        ],
        tests: ["ApusFakes", nioEmbedded]
    ),
    part(
        "EdgeDoor",
        [
            "WebFormats", "ApusBroker", "ApusAccess", "ApusPresence", "ApusCore", "KafkaWire", "CZlib", nioCore,
            nioHTTP1, crypto, deque,
            logging,
        ],
        tests: ["ApusFakes", nioEmbedded]
    ),
    part(
        "HTTPDoor",
        hummingbird + [
            "ApusBroker", "ApusAccess", "ApusGroups", "ApusPresence", "ApusCore", "KafkaWire", "WebFormats", nioCore,
            nioHTTP1, nioSSL, crypto, logging,
        ],
        tests: ["ApusFakes", nioPosix, nioEmbedded], resources: [.embedInCode("Page/console.html")]
    ),
    // Adapters.
    part(
        "ApusUpstream",
        [
            "ApusBroker", "ApusAccess", "ApusPresence", "ApusClient", "ApusCore", "EdgeDoor", "KafkaWire", nioCore,
            deque,
            logging,
        ],
        tests: ["ApusFakes", nioEmbedded]
    ),
    part("ApusSystem", ["ApusCore", "CApus", nioCore, nioPosix, logging], tests: ["ApusFakes"]),
    part("ApusSQLite", ["ApusCore", "CApus", .product(name: "GRDB", package: "GRDB.swift")], tests: ["ApusFakes"]),
    // The fake world.
    part("ApusFakes", ["ApusCore", nioCore]),
    // Assemblies and the client.
    part(
        "ApusServer",
        [
            "ApusBroker", "ApusAccess", "ApusCore", "KafkaDoor", "HTTPDoor", "EdgeDoor", "WebFormats", "ApusSystem",
            "ApusSQLite", "ApusUpstream", "ApusClient", crypto, nioCore, nioPosix, nioSSL, nioHTTP1, httpClient,
            logging,
        ]
    ),
    part(
        "ApusCommand",
        [
            "ApusClient", "ApusCore", nioCore,
            .product(name: "Configuration", package: "swift-configuration"),
            .product(name: "Histogram", package: "hdrhistogram-swift"),
        ]
    ),
    part(
        "ApusClient", ["ApusCore", "ApusAccess", "KafkaWire", nioCore, nioPosix, nioSSL, deque, logging],
        tests: [nioEmbedded]),
]

/// libFuzzer on the decoders (`Fuzz/run`). Only there when asked for: it needs the whole package built for it.
let fuzzing: [Target] =
    Context.environment["APUS_FUZZ"] == nil
    ? []
    : [
        .target(name: "CFuzz", path: "Fuzz/CFuzz"),
        .executableTarget(
            name: "apus-fuzz",
            dependencies: [
                "CFuzz", "ApusAccess", "ApusBroker", "ApusCore", "ApusFakes", "ApusGroups", "ApusLog", "EdgeDoor",
                "HTTPDoor", "KafkaWire", "WebFormats", nioCore, nioEmbedded, logging,
            ],
            path: "Fuzz/Targets",
            swiftSettings: house
        ),
    ]

let package = Package(
    name: "apus",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "apus", targets: ["apus"]),
        .library(name: "ApusServer", targets: ["ApusServer"]),
        .library(name: "ApusClient", targets: ["ApusClient"]),
        .library(name: "KafkaWire", targets: ["KafkaWire"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: parts.flatMap { $0 } + fuzzing + [
        .target(name: "CApus"),
        system("CZlib", "zlib", "zlib1g-dev"),
        system("CZstd", "libzstd", "libzstd-dev"),
        system("CLZ4", "liblz4", "liblz4-dev"),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .executableTarget(name: "kafka-wire-gen", swiftSettings: house),
        .executableTarget(
            name: "apus",
            dependencies: [
                "ApusCommand", "ApusServer", "WebFormats", "ApusClient", "ApusCore", "ApusSystem", "KafkaWire",
                "ApusLog",
                nioCore, nioPosix, nioSSL, logging, deque,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: house,
            // The other linker warns of Foundation's own mktemp at every link of the Swift runtime into the executable.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"], .when(platforms: [.linux]))]
        ),
        .testTarget(name: "TidyTests", swiftSettings: house),
        .testTarget(
            name: "ConformanceTests", dependencies: ["ApusServer", "ApusClient", "ApusCore", nioCore, nioPosix],
            swiftSettings: house
        ),
    ],
    cLanguageStandard: .c17
)
