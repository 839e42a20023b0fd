export { SimDisk, type SimDiskFaults, type SimDiskOptions } from "./sim-disk.js";
