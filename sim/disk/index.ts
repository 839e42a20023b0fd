export { SimDisk, type DiskOperation, type SimDiskFaults, type SimDiskOptions } from "./sim-disk.js";
