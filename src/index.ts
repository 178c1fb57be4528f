/**
 * vdisk as a library: the operations of the command line, with typed results, and what a plugin needs to add a format.
 * Nothing here prints, and nothing touches `process`. Offsets, lengths and sizes are bytes.
 */

import type * as HttpClient from './remote/http/request.js'

// Converting, creating, measuring.
export { convert, type ConvertOptions, type ConvertResult } from './operations/transfer/convert.js'
export type { TargetOutput } from './operations/transfer/target-output.js'
export type { SourceInput } from './operations/transfer/source.js'
export { create, type CreateOptions, type CreateResult } from './operations/transfer/create.js'
export {
  usedOnly,
  type DirtyChoice,
  type UsedOnly,
  type UsedOnlyOptions,
  type VolumeUsage,
} from './operations/transfer/used-only.js'
export { measure, type MeasureOptions, type MeasureResult } from './operations/transfer/measure.js'

// Looking into images and disks.
export { compare, type CompareOptions, type CompareResult } from './operations/inspect/compare.js'
export { hash, type HashOptions, type HashResult } from './operations/inspect/hash.js'
export { formats, type FormatInfo } from './operations/inspect/formats.js'
export {
  map,
  type DiskMap,
  type MapExtent,
  type MapKind,
  type MapLayer,
  type MapOptions,
  type MapTotals,
} from './operations/inspect/map.js'
export { Image, openImage, type ChunkOptions, type ImageOptions, type Run } from './operations/library/image.js'
export type { ReadableStore } from './operations/library/own-store.js'
export type { ChainOptions, ReadOptions, SourceInfo } from './operations/open/opening.js'
export type { ParentMapping } from './location/parent-map.js'
export {
  inspect,
  type FilesystemInfo,
  type InspectIssue,
  type InspectOptions,
  type InspectResult,
  type PartitionInfo,
} from './operations/inspect/inspect.js'
export type { BootDiagnosis } from './operations/inspect/boot/diagnosis.js'
export type { BootCode, BootCodeKind } from './operations/inspect/boot/code.js'
export type { BootLoader } from './operations/inspect/boot/loaders.js'
export type { BootConfiguration } from './operations/inspect/boot/configuration.js'
export type { ActivePartition, GrubCore } from './operations/inspect/boot/bios.js'
export type { OperatingSystem, SystemGuess } from './operations/inspect/boot/system-guess.js'
export type { Gap, Partition, PartitionTable, PartitionType, TableScheme, TableIssue } from './partition/index.js'
export { info, type ImageInfo, type InfoOptions, type LayerInfo, type Problem } from './operations/inspect/info.js'
export { doctor, type DoctorOptions, type DoctorResult } from './operations/doctor/doctor.js'
export type { DoctorFinding, DoctorVerdict } from './operations/doctor/report.js'
export { listPlatforms } from './operations/inspect/platforms.js'
export type { Platform } from './platforms/index.js'

// Files inside images.
export { copyFiles, type CopyFilesOptions, type CopyFilesResult } from './operations/files/copy.js'
export { listFiles, type FileList, type ListOptions } from './operations/files/list.js'
export type { ListedFile } from './operations/files/listed-files.js'
export { fileChunks, readFile, type ReadFileOptions } from './operations/files/read.js'

// Checking and repairing.
export { check, type CheckImageOptions, type CheckResult, type LayerCheck } from './operations/check/check.js'
export type { FindingGroup, Severity } from './operations/check/findings.js'
export { repair, type RepairOptions, type RepairResult } from './operations/check/repair.js'

// Changing images: chains, snapshots, partitions.
export {
  flattenChain,
  showChain,
  type ChainLayer,
  type ChainResult,
  type FlattenOptions,
  type FlattenResult,
  type LinkState,
} from './operations/chain/show.js'
export { commitChain, type CommitOptions, type CommitResult } from './operations/chain/commit.js'
export { rebaseChain, type RebaseOptions, type RebaseResult } from './operations/chain/rebase.js'
export {
  relinkChain,
  type LinkedImage,
  type ParentRecord,
  type RelinkOptions,
  type RelinkResult,
} from './operations/chain/relink.js'
export {
  convertPartitionTable,
  type ConvertTableOptions,
  type ConvertTableResult,
} from './operations/partition/convert.js'
export { extractPartition, type ExtractOptions, type ExtractResult } from './operations/partition/extract.js'
export { fixTable, type FixTableOptions, type FixTableResult } from './operations/partition/fix.js'
export { injectPartition, type InjectOptions, type InjectResult } from './operations/partition/inject.js'
export {
  createSnapshot,
  deleteSnapshot,
  extractSnapshot,
  listSnapshots,
  type SnapshotChangeOptions,
  type SnapshotChangeResult,
  type SnapshotInfo,
  type SnapshotListResult,
  type SnapshotOptions,
} from './operations/change/snapshot.js'
export { resize, type ResizeOptions, type ResizeResult } from './operations/change/resize.js'
export { compact, type CompactOptions, type CompactResult } from './operations/change/compact.js'

// Physical disks: listing, imaging, restoring, cloning.
export { clone, type CloneOptions, type CloneResult } from './operations/device/clone.js'
export { restore, type RestoreOptions, type RestoreResult } from './operations/device/restore.js'
export type { DeviceOptions, DeviceOutcome } from './operations/device/target.js'
export type { Confirmation, ConfirmationQuestion } from './operations/device/confirmation.js'
export type { TargetDescription } from './operations/device/description.js'
export { guardTarget, type GuardPass } from './operations/device/guards.js'
export type { TargetFacts, TargetOverrides } from './operations/device/target-facts.js'
export {
  disks,
  type DisksOptions,
  type DisksResult,
  type HeldFilesystem,
  type ListedDisk,
  type ListedPartition,
} from './operations/device/disks.js'
export { imageDisk } from './operations/imaging/image.js'
export type { ImageDiskOptions } from './operations/imaging/image-options.js'
export type { ImageDiskResult, ImagingPlan } from './operations/imaging/image-result.js'
export { resumeImage, type ResumeImageOptions } from './operations/imaging/resume.js'
export {
  readImageRecord,
  writeImageRecord,
  type Consistency,
  type ImageRecord,
  type RecordedDigest,
  type RecordedSource,
} from './operations/imaging/record.js'
export type { GuardAnswer } from './operations/imaging/guards.js'
export type {
  DeviceUse,
  Disk,
  DiskKind,
  DiskPartition,
  DiskPlatform,
  FoundDevice,
  HolderRole,
  Place,
} from './device/types.js'

// Mounting and serving.
export {
  mount,
  type AttachedDevice,
  type MountedFilesystem,
  type MountMode,
  type MountOptions,
  type MountResult,
  type MountSession,
  type ShownFile,
} from './operations/mount/mount.js'
export { cleanMounts, mounts, type CleanedMount, type ListedMount } from './operations/mount/mounts.js'
export { unmount, type UnmountedImage, type UnmountOptions } from './operations/mount/unmount.js'
export {
  serve,
  type ServedExport,
  type ServeOptions,
  type ServeReady,
  type ServeResult,
} from './operations/serve/serve.js'

// Progress, ranges, errors.
export type { Progress } from './engine/progress.js'
export type { HashAlgorithm } from './engine/hash.js'
export type { Range, RangeSummary } from './engine/ranges.js'
export {
  exitCodes,
  ImageError,
  isImageError,
  type ErrorDetails,
  type ErrorKind,
  type ImageErrorOptions,
} from './errors.js'
export { corrupt, printable, reference, refused, targetError, unsupported, usage } from './errors.js'
export type { KnownCode as ErrorCode } from './error-codes.js'

// For plug-ins: formats, wrappers, codecs, schemes.
export { Registry, builtinDrivers, type RegisteredDriver } from './formats/registry.js'
export {
  driverApiVersion,
  type Certainty,
  type CheckOptions,
  type CreateContext,
  type DiskImage,
  type DiskShape,
  type FileReference,
  type Finding,
  type FormatDriver,
  type ImageIdentity,
  type ImageSnapshot,
  type ImageWriter,
  type OpenContext,
  type OptionSpec,
  type OptionValues,
  type ParentReference,
  type ParentShape,
  type RepairAction,
  type WritableImage,
} from './formats/driver.js'
export type { Wrapped, WrappedFile, WrappedStream, WrapperDriver } from './formats/driver.js'
export { otherId, type Location, type LocationId, type Scheme as AddressScheme } from './location/location.js'
export type {
  StandingObject,
  Upload,
  UploadedObject,
  UploadImage,
  UploadPlan,
  UploadTarget,
} from './location/upload.js'
export { HttpStore } from './remote/http/http-store.js'
export { optionsOf as httpOptions } from './remote/http/environment.js'
export type { ReaderOptions as HttpOptions } from './remote/http/reader-options.js'
export type { Explanation, HttpAddress, Signer, SignerModule, UnsignedRequest } from './remote/http/address.js'
/** Requests to web servers, with tries and pauses. Loaded for those who send some. */
export const loadHttpClient = (): Promise<typeof HttpClient> => import('./remote/http/request.js')
export { keepSecret } from './sys/secrets.js'
export { shellWord } from './sys/shell-word.js'
export { UnderWay } from './sys/under-way.js'
export type { Work, WorkProgress } from './block/work.js'
export type { BlockSource, ByteStore, Codec, Extent, Fact, Note, Section } from './block/types.js'
export { ExtentReader } from './block/read.js'
export { MemoryStore } from './block/memory-store.js'
export {
  ascii,
  bytes,
  flags32,
  flags64,
  guid,
  nilUuid,
  offset64,
  struct,
  u16,
  u32,
  u64,
  u8,
  utf16,
  uuid,
  type Endian,
  type Field,
  type FieldRow,
  type Struct,
  type StructValues,
  type ValuesOf,
} from './binary/struct.js'
export { ceilDivide, isPowerOfTwo, roundDown, roundUp, safeNumber } from './binary/integers.js'
export { isZero } from './binary/zero.js'
